"""The base models by name: which network a checkpoint is of."""

from __future__ import annotations

from pathlib import Path

from napari_simmat.errors import WeightsError
from napari_simmat.models.base import BaseModel
from napari_simmat.models.encoders import TinyViTEncoder, ViTEncoder
from napari_simmat.models.sam import Sam

__all__ = ["ARCHITECTURES", "architecture_of", "check_architecture"]

ARCHITECTURES: dict[str, str] = {
    "mobile_sam": "MobileSAM: TinyViT encoder, mobile_sam.pt",
    "vit_b": "SAM ViT-B: 12 blocks of width 768, sam_vit_b_01ec64.pth",
    "vit_l": "SAM ViT-L: 24 blocks of width 1024, sam_vit_l_0b3195.pth",
    "vit_h": "SAM ViT-H: 32 blocks of width 1280, sam_vit_h_4b8939.pth",
}
"""Name and one-line description of each."""

_SIZES = {(12, 768): "vit_b", (24, 1024): "vit_l", (32, 1280): "vit_h"}


def architecture_of(sam: Sam) -> str:
    """The name of a network, or its sizes where it has no name."""
    encoder = sam.encoder
    if isinstance(encoder, TinyViTEncoder):
        return "mobile_sam"
    assert isinstance(encoder, ViTEncoder)
    depth, width = len(encoder.vit.blocks), int(encoder.vit.patch_embed.proj.out_channels)
    return _SIZES.get((depth, width), f"a ViT of {depth} blocks of width {width}")


def check_architecture(base: BaseModel, name: str, path: Path) -> None:
    """Refuse a checkpoint of another network than it was said to be.

    Raises
    ------
    WeightsError
        Names both.
    """
    found = architecture_of(base.sam)
    if found != name:
        raise WeightsError(
            f"The checkpoint {path.name} is {_described(found)}, expected {_described(name)}; give its own name or "
            "another file."
        )


def _described(name: str) -> str:
    return f"{name} ({ARCHITECTURES[name].partition(',')[0]})" if name in ARCHITECTURES else name
