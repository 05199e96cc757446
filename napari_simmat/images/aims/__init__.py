"""The datasets of the paper's benchmark, read in the form in which their authors give them out."""

from napari_simmat.images.aims.item import AimsDataset, AimsItem, Split
from napari_simmat.images.aims.registry import AIMS, open_aims

__all__ = ["AIMS", "AimsDataset", "AimsItem", "Split", "open_aims"]
