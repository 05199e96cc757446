"""A frozen encoder made ready for answering: the same function in the precision that pays, with fewer passes over memory.

Half of an encoder's time on a CPU goes into walking through activations of tens of megabytes. So activations that
follow a convolution are computed with it (oneDNN's own operators, which `torch.compile` uses, too), weights are turned
into the precision of the products once instead of in each pass, and norms over channels go over the last axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import MBConv, NormMlp, PatchEmbed, PatchMerging
from torch import Tensor, nn

from napari_simmat.inference.compute import products
from napari_simmat.inference.recorded import Recorded, record_cuda
from napari_simmat.models import AdaptedSam
from napari_simmat.models.additions import sharing_copy
from napari_simmat.models.encoders import ImageEncoder, TinyViTEncoder

__all__ = ["FrozenEncoder", "freeze"]

_FOLLOWED: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    PatchEmbed: (("conv1", "act"),),
    MBConv: (("conv1", "act1"), ("conv2", "act2")),
    PatchMerging: (("conv1", "act1"), ("conv2", "act2")),
    NormMlp: (("fc1", "act"),),
}
"""In which modules which activation follows which layer."""

_STRIP = 256
"""Rows of the picture that go through the first convolutions at once, so that what comes out fits into the caches."""
_STRIDE = 8
_HALO = 2 * _STRIDE
"""Rows on either side that these convolutions look at, to the next multiple of their stride: 15."""


def freeze(model: AdaptedSam) -> None:
    """Put a faster encoder in the place of a model's own, where there is one for its kind.

    The model's own encoder is not changed, but neither this one nor the model can be trained any more.
    """
    if isinstance(model.sam.encoder, TinyViTEncoder):
        model.sam.encoder = FrozenEncoder(model.sam.encoder)


class FrozenEncoder(ImageEncoder):
    """An encoder that is not trained.

    Parameters
    ----------
    encoder : TinyViTEncoder
        Is not changed.
    """

    def __init__(self, encoder: TinyViTEncoder) -> None:
        super().__init__()
        self.side, self.flexible = encoder.side, encoder.flexible
        device = next(encoder.parameters()).device
        self._type = products(device)
        own = sharing_copy(encoder)
        assert isinstance(own, TinyViTEncoder)
        self._own: TinyViTEncoder = own
        # A stem of another kind may look at the whole picture at once.
        self._in_strips = device.type == "cpu" and isinstance(own.get_submodule(own.kernel), nn.Conv2d)
        for module in list(self._own.modules()):
            _convert(module, self._type)
        if _fuses(device.type, self._type):
            _follow_with_activations(self._own)
        self._run_early: Callable[[Tensor], Tensor] = self._early
        self._run_late: Callable[[Tensor], Tensor] = self._late
        if device.type == "cuda":
            self._run_early = _recorded(self._early)
            self._run_late = _recorded(self._late)

    def early(self, rgb: Tensor) -> Tensor:
        """Stem and first stages, see `ImageEncoder.early`."""
        return self._run_early(rgb)

    def late(self, features: Tensor) -> Tensor:
        """Last stage and neck, see `ImageEncoder.late`."""
        return self._run_late(features)

    def _early(self, rgb: Tensor) -> Tensor:
        with torch.autocast(rgb.device.type, enabled=False):
            x = rgb.to(self._type).contiguous(memory_format=torch.channels_last)
            if not self._in_strips or x.shape[2] <= _STRIP:
                return self._own.early(x)
            trunk = self._own.trunk
            blocks = trunk.get_submodule("stages.1.blocks")
            found: Tensor = blocks(self._start(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            for stage in list(trunk.stages)[2:-1]:
                found = stage(found)
        return found

    def _start(self, x: Tensor) -> Tensor:
        """What comes before the first attention, strip by strip: it is all convolutions, so nothing is changed by it."""
        trunk, rows, parts = self._own.trunk, x.shape[2], []
        downsample = trunk.get_submodule("stages.1.downsample")
        for top in range(0, rows, _STRIP):
            first, last = max(0, top - _HALO), min(rows, top + _STRIP + _HALO)
            part = trunk.stages[0](trunk.patch_embed(x[:, :, first:last]))
            part = downsample(part)
            end = min(rows, top + _STRIP)
            parts.append(part[:, :, (top - first) // _STRIDE : -(-(end - first) // _STRIDE)])
        return torch.cat(parts, 2)

    def _late(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            embedding: Tensor = self._own.late(features.to(self._type))
        return embedding


def _recorded(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    recorded = Recorded(lambda x: (function(x),), record_cuda)
    return lambda x: recorded(x)[0]


class _Followed(nn.Module):
    """A convolution or linear layer and the GELU after it, in one pass."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self._layer = layer

    def forward(self, x: Tensor) -> Tensor:
        own = self._layer
        out: Tensor
        if isinstance(own, nn.Linear):
            flat = x.reshape(-1, x.shape[-1])
            out = torch.ops.mkldnn._linear_pointwise(flat, own.weight, own.bias, "gelu", [], "none")
            return out.view(*x.shape[:-1], -1)
        out = torch.ops.mkldnn._convolution_pointwise(
            x, own.weight, own.bias, own.padding, own.stride, own.dilation, own.groups, "gelu", [], "none"
        )
        return out


class _ChannelNorm(nn.Module):
    """segment-anything's norm over channels, with mean and variance in float32 whatever the precision."""

    def __init__(self, own: LayerNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self._eps = own.weight, own.bias, own.eps

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        weight, bias = self.weight, self.bias
        if x.device.type != "cpu":  # elsewhere they must be of one type; it computes in float32 all the same
            weight, bias = weight.to(x.dtype), bias.to(x.dtype)
        return F.layer_norm(last, last.shape[-1:], weight, bias, self._eps).permute(0, 3, 1, 2)


def _convert(module: nn.Module, dtype: torch.dtype) -> None:
    """Own copies of a module's weights in another precision; those that it had are not touched."""
    for name, parameter in module.named_parameters(recurse=False):
        converted = parameter.detach().to(dtype)
        setattr(module, name, nn.Parameter(converted, requires_grad=False))
    for name, buffer in module.named_buffers(recurse=False):
        if buffer.is_floating_point():
            setattr(module, name, buffer.to(dtype))
    for name, child in module.named_children():
        if isinstance(child, LayerNorm2d):
            setattr(module, name, _ChannelNorm(child))


def _follow_with_activations(root: nn.Module) -> None:
    for module in list(root.modules()):
        for layer_name, activation_name in _FOLLOWED.get(type(module), ()):
            layer, activation = getattr(module, layer_name), getattr(module, activation_name)
            is_plain = isinstance(layer, (nn.Conv2d, nn.Linear)) and not isinstance(
                getattr(layer, "padding", None), str
            )
            if is_plain and type(activation) is nn.GELU and activation.approximate == "none":
                setattr(module, layer_name, _Followed(layer))
                setattr(module, activation_name, nn.Identity())


@cache
def _fuses(device_type: str, dtype: torch.dtype) -> bool:
    """Whether torch was built with the operators that are needed, and they give what they should.

    Where the processor does not have bfloat16, they refuse it, while layers of their own compute it slowly.
    """
    if device_type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    with torch.random.fork_rng(devices=()):
        layers = (nn.Conv2d(4, 8, 3, padding=1).to(dtype), nn.Linear(8, 8).to(dtype))
    x = torch.linspace(-2, 2, 256, dtype=dtype).view(1, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    near = 1e-5 if dtype == torch.float32 else 0.05  # bfloat16 has steps of 0.016 at 2 and more
    try:
        with torch.inference_mode():
            for layer in layers:
                expected = F.gelu(layer(x))
                if not torch.allclose(_Followed(layer)(x), expected, atol=near):
                    return False
    except (AttributeError, RuntimeError):
        return False
    return True
