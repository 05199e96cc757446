"""Segment multi-channel images at a click with a Segment Anything Model that sees all channels."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Imported on first use: reading an image or asking for the version must not cost the start of torch.
_HOMES = {
    "MultiChannelImage": "napari_simmat.images",
    "ModalityProfile": "napari_simmat.images",
    "open_image": "napari_simmat.images",
    "Adapter": "napari_simmat.models",
    "Prompt": "napari_simmat.inference",
    "Segmenter": "napari_simmat.inference",
    "finetune": "napari_simmat.training",
    "evaluate": "napari_simmat.evaluation",
    "Annotator": "napari_simmat.annotator",
}

__all__ = [
    "Adapter",
    "Annotator",
    "ModalityProfile",
    "MultiChannelImage",
    "Prompt",
    "Segmenter",
    "__version__",
    "evaluate",
    "finetune",
    "open_image",
]

if TYPE_CHECKING:
    from napari_simmat.annotator import Annotator
    from napari_simmat.evaluation import evaluate
    from napari_simmat.images import ModalityProfile, MultiChannelImage, open_image
    from napari_simmat.inference import Prompt, Segmenter
    from napari_simmat.models import Adapter
    from napari_simmat.training import finetune


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
