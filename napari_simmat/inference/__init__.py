"""What it answers: prompts, the segmenter, embedding cache, device and precision. torch, no Qt."""

from napari_simmat.inference.candidates import Candidates
from napari_simmat.inference.compute import (
    autocast,
    describe_device,
    device_choice,
    first_that_fits,
    products,
)
from napari_simmat.inference.frame import Frame
from napari_simmat.inference.prompts import Prompt
from napari_simmat.inference.regions import region_around
from napari_simmat.inference.segmenter import Segmenter, is_at_hand, warm_up

__all__ = [
    "Candidates",
    "Frame",
    "Prompt",
    "Segmenter",
    "autocast",
    "describe_device",
    "device_choice",
    "first_that_fits",
    "is_at_hand",
    "products",
    "region_around",
    "warm_up",
]
