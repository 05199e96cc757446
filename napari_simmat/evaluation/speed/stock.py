"""Stock segment-anything with a base model's weights: what our times are put beside."""

from __future__ import annotations

import copy
from typing import cast

import torch
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling import Sam as StockSam
from timm.models.tiny_vit import ConvNorm
from torch import Tensor, nn

from napari_simmat.models import BaseModel
from napari_simmat.models.encoders import TinyViTEncoder, ViTEncoder, build_trunk

__all__ = ["stock_predictor"]


class StockTinyViT(nn.Module):
    """MobileSAM's encoder as it is published: convolutions and batch norms apart, float32, channels first."""

    def __init__(self, encoder: TinyViTEncoder) -> None:
        super().__init__()
        self.img_size = encoder.side
        self.trunk = build_trunk()
        _unfold(self.trunk, encoder.trunk)
        self.neck = copy.deepcopy(encoder.neck)

    def forward(self, rgb: Tensor) -> Tensor:
        """SAM-normalised RGB (B, 3, 1024, 1024) to an embedding (B, 256, 64, 64)."""
        x = self.trunk.patch_embed(rgb)
        for stage in self.trunk.stages:
            x = stage(x)
        out: Tensor = self.neck(x)
        return out


def stock_predictor(base: BaseModel, device: str | torch.device = "cpu") -> SamPredictor:
    """segment-anything's own predictor with the weights of a base model, in float32.

    Parameters
    ----------
    base : BaseModel
        Is not changed.
    device : str or torch.device
    """
    own = base.sam.encoder
    encoder: nn.Module
    if isinstance(own, TinyViTEncoder):
        encoder = StockTinyViT(own)
    else:
        assert isinstance(own, ViTEncoder)
        encoder = copy.deepcopy(own.vit)
    sam = StockSam(
        image_encoder=cast(ImageEncoderViT, encoder),
        prompt_encoder=copy.deepcopy(base.sam.prompt_encoder),
        mask_decoder=copy.deepcopy(base.sam.mask_decoder),
    )
    sam = sam.eval().requires_grad_(False).to(device, memory_format=torch.contiguous_format)
    return SamPredictor(sam)


def _unfold(stock: nn.Module, folded: nn.Module) -> None:
    """Give convolutions the folded weights and batch norms the rest: the same function, and the published work."""
    if isinstance(stock, ConvNorm):
        assert isinstance(folded, nn.Conv2d)
        assert folded.bias is not None
        stock.conv.load_state_dict({"weight": folded.weight})
        ones, nothing = torch.ones_like(folded.bias), torch.zeros_like(folded.bias)
        own = {
            "running_mean": -folded.bias,
            "running_var": ones - stock.bn.eps,
            "weight": ones,
            "bias": nothing,
        }
        stock.bn.load_state_dict(own, strict=False)
        return
    for name, parameter in folded.named_parameters(recurse=False):
        stock.get_parameter(name).data.copy_(parameter.data)
    for name, child in stock.named_children():
        _unfold(child, folded.get_submodule(name))
