"""What keeps a training of few corrections from going too far: published regularisers, all off unless asked for."""

from napari_simmat.training.regularisers.adversarial import Adversary
from napari_simmat.training.regularisers.halves import gated, halves, tokens
from napari_simmat.training.regularisers.starting_point import StartingPoint

__all__ = ["Adversary", "StartingPoint", "gated", "halves", "tokens"]
