"""How it learns: corrections, simulated clicks, losses, fine-tuning, the gate. torch, no Qt."""

from napari_simmat.training.align import align, distance
from napari_simmat.training.clicks import first_click, next_click
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.learning import TrainingReport, deep, finetune, quick
from napari_simmat.training.settings import Settings

__all__ = [
    "Correction",
    "Corrections",
    "Settings",
    "TrainingReport",
    "align",
    "deep",
    "distance",
    "finetune",
    "first_click",
    "next_click",
    "quick",
]
