"""What looks: the transfer layer, foundation encoders, LoRA, SAM, and the adapter file. torch, no Qt."""

from napari_simmat.models.adapter import Adapter
from napari_simmat.models.base import BaseModel, load_base_model
from napari_simmat.models.card import AdapterCard, TrainingRun
from napari_simmat.models.mat import MAT
from napari_simmat.models.sam import AdaptedSam, Sam
from napari_simmat.models.transfer import TRANSFERS

__all__ = [
    "MAT",
    "TRANSFERS",
    "AdaptedSam",
    "Adapter",
    "AdapterCard",
    "BaseModel",
    "Sam",
    "TrainingRun",
    "load_base_model",
]
