"""How good it is: simulated clicks on labelled images, and figures of merit. torch, no Qt."""

from napari_simmat.evaluation.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
