"""How good it is: simulated clicks on labelled images, and figures of merit. torch, no Qt."""

from napari_simmat.evaluation.attribution import Attribution, attribute_channels, attribute_object
from napari_simmat.evaluation.protocol import evaluate, evaluate_objects
from napari_simmat.evaluation.scores import ObjectScore
from napari_simmat.evaluation.summary import Evaluation, Group, summarise

__all__ = [
    "Attribution",
    "Evaluation",
    "Group",
    "ObjectScore",
    "attribute_channels",
    "attribute_object",
    "evaluate",
    "evaluate_objects",
    "summarise",
]
