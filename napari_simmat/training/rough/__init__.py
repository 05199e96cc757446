"""Adapting from rough labels, without a single mask (WeSAM, arXiv 2312.03502)."""

from napari_simmat.training.rough.files import open_rough, read_prompts, write_prompts
from napari_simmat.training.rough.labels import RoughLabels, RoughObject, Scribble
from napari_simmat.training.rough.rough import adapt_from_rough
from napari_simmat.training.rough.settings import RoughSettings

__all__ = [
    "RoughLabels",
    "RoughObject",
    "RoughSettings",
    "Scribble",
    "adapt_from_rough",
    "open_rough",
    "read_prompts",
    "write_prompts",
]
