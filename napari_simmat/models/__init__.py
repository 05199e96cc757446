"""What looks: the transfer layer, foundation encoders, LoRA, SAM, and the adapter file. torch, no Qt."""

from napari_simmat.models.adapter import Adapter
from napari_simmat.models.architectures import ARCHITECTURES
from napari_simmat.models.base import BaseModel, load_base_model
from napari_simmat.models.card import AdapterCard, TrainingRun
from napari_simmat.models.heads import Head
from napari_simmat.models.mat import MAT
from napari_simmat.models.sam import AdaptedSam, Sam
from napari_simmat.models.strategies import STRATEGIES, Strategy
from napari_simmat.models.transfer import TRANSFERS

__all__ = [
    "ARCHITECTURES",
    "MAT",
    "STRATEGIES",
    "TRANSFERS",
    "AdaptedSam",
    "Adapter",
    "AdapterCard",
    "BaseModel",
    "Head",
    "Sam",
    "Strategy",
    "TrainingRun",
    "load_base_model",
]
