"""How good it is: simulated clicks on labelled images, and figures of merit. torch, no Qt."""

from napari_simmat.evaluation.protocol import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
