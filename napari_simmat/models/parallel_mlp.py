"""MLP adapters: a small bottleneck beside each transformer block's MLP.

y = MLP(x) + 0.1 U relu(D x), with U started at zero, as the parallel adapter of AdaptFormer (arXiv 2205.13535).
"""

from __future__ import annotations

import torch.nn.functional as F
from segment_anything.modeling.common import MLPBlock
from timm.models.tiny_vit import NormMlp
from torch import Tensor, nn

from napari_simmat.models.additions import Addition, innermost

__all__ = ["ParallelMLP"]

_SCALE = 0.1


class ParallelMLP(Addition):
    """A frozen MLP with a trainable bottleneck beside it that sees the same; at its start it changes nothing.

    Parameters
    ----------
    base : NormMlp or MLPBlock
        The MLP of a TinyViT block, which normalises its input itself, of a ViT block, or of the mask decoder.
    size : int
        Width w of the bottleneck, which has 2 d w + w + d parameters beside an MLP on d channels.
    """

    kind = "mlp"
    lead = "down"
    measure = "width"

    def __init__(self, base: nn.Module, size: int) -> None:
        super().__init__(base, size)
        first = nn.Linear(_channels(base), size)
        self.down = nn.Parameter(first.weight.detach())
        self.down_bias = nn.Parameter(first.bias.detach())
        self.up = nn.Parameter(first.weight.new_zeros(first.in_features, size))
        self.up_bias = nn.Parameter(first.weight.new_zeros(first.in_features))

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        """MLPs of transformer blocks."""
        return isinstance(module, NormMlp | MLPBlock)

    def forward(self, x: Tensor) -> Tensor:
        """(.., d) to (.., d)."""
        seen = self.base.norm(x) if isinstance(self.base, NormMlp) else x
        narrow = F.relu(F.linear(seen, self.down, self.down_bias))
        out: Tensor = self.base(x) + _SCALE * F.linear(narrow, self.up, self.up_bias)
        return out


def _channels(mlp: nn.Module) -> int:
    """Width d of what goes in and comes out."""
    if isinstance(mlp, NormMlp):
        return int(mlp.norm.normalized_shape[0])  # type: ignore[index]
    assert isinstance(mlp, MLPBlock)
    return int(innermost(mlp.lin2).out_features)  # type: ignore[arg-type]
