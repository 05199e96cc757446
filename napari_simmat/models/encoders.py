"""RGB foundation encoders, each cut in two: `early` (stem and first stages) and `late` (last stage and neck).

What `early` returns can be cached, so that the late part is trained alone in a fraction of the time. Both encoders
take SAM-normalised RGB of any size divisible by 16 and return an embedding at one sixteenth of it.
"""

from __future__ import annotations

from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import Attention, ConvNorm, TinyVit
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from napari_simmat.models.additions import innermost
from napari_simmat.models.attention import WindowAttention

STRIDE = 16
EMBEDDING_CHANNELS = 256


class ImageEncoder(nn.Module):
    """An RGB foundation encoder in two halves.

    Attributes
    ----------
    side : int
        Longest side of the image in the encoder's frame, in pixels.
    flexible : bool
        Whether the encoder takes inputs smaller than `side` (windows of a scene).
    late_layers : tuple of str
        Patterns of the module paths that belong to the late half.
    checkpoint : bool
        Whether activations inside a block are computed again in the backward pass instead of being kept, which gives
        the same gradients for a third more time and a fraction of the memory. Without gradients it changes nothing.
    """

    side: int = 1024
    flexible: bool = True
    late_layers: tuple[str, ...] = ()
    checkpoint: bool = False

    kernel: str = ""
    """Path of the first convolution."""

    @property
    def first_convolution(self) -> nn.Conv2d:
        """The convolution that the picture goes through first."""
        found = self.get_submodule(self.kernel)
        assert isinstance(found, nn.Conv2d)
        return found

    def replace_first_convolution(self, module: nn.Module) -> None:
        """Put another module in its place, such as one for more channels."""
        owner, _, leaf = self.kernel.rpartition(".")
        setattr(self.get_submodule(owner), leaf, module)

    def fresh(self) -> ImageEncoder:
        """The same network with random weights."""
        raise NotImplementedError

    def through(self, block: nn.Module, x: Tensor) -> Tensor:
        """What a block gives for x."""
        if self.checkpoint and torch.is_grad_enabled():
            # Nothing in the encoders is random, so no state of the random numbers is kept.
            kept: Tensor = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
            return kept
        out: Tensor = block(x)
        return out

    def early(self, rgb: Tensor) -> Tensor:
        """Stem and first stages: SAM-normalised RGB (B, 3, H, W) to features (B, ..)."""
        raise NotImplementedError

    def late(self, features: Tensor) -> Tensor:
        """Last stage and neck: features to an embedding (B, 256, H / 16, W / 16)."""
        raise NotImplementedError

    def forward(self, rgb: Tensor) -> Tensor:
        """SAM-normalised RGB (B, 3, H, W) to an embedding (B, 256, H / 16, W / 16)."""
        return self.late(self.early(rgb))


class TinyViTEncoder(ImageEncoder):
    """MobileSAM's encoder: Tiny ViT with 5.7 M parameters (timm) and SAM's neck.

    Batch norms are folded into their convolutions, which is exact for a frozen encoder and half as slow again.
    """

    late_layers = ("trunk.stages.3.*",)
    kernel = "trunk.patch_embed.conv1"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = build_trunk()
        fold_batch_norms(self.trunk)
        self.neck = build_neck(320)

    def fresh(self) -> TinyViTEncoder:
        """The same network with random weights."""
        return TinyViTEncoder()

    def early(self, rgb: Tensor) -> Tensor:
        """Patch embedding and the first three stages; returns (B, 160, H / 16, W / 16)."""
        x: Tensor = self.trunk.patch_embed(rgb)
        for stage in self.trunk.stages[:-1]:
            x = self.through(stage, x)
        return x

    def late(self, features: Tensor) -> Tensor:
        """The last stage (two transformer blocks of width 320) and SAM's neck."""
        out: Tensor = self.neck(self.through(self.trunk.stages[-1], features))
        return out


class ViTEncoder(ImageEncoder):
    """Meta's ViT encoder of SAM (B, L, H); `late` is the last quarter of the blocks, and the neck.

    Its absolute position embedding binds it to one input size. Attention over a whole frame of 64 x 64 places takes
    gigabytes in each global block, so activations are not kept.
    """

    flexible = False
    checkpoint = True
    kernel = "vit.patch_embed.proj"

    def __init__(self, vit: ImageEncoderViT) -> None:
        super().__init__()
        self.vit = vit
        self.side = int(vit.img_size)
        self.n_late = max(1, len(vit.blocks) // 4)
        self.late_layers = tuple(f"vit.blocks.{len(vit.blocks) - 1 - k}.*" for k in range(self.n_late))

    def fresh(self) -> ViTEncoder:
        """The same network with random weights."""
        blocks = self.vit.blocks
        wide = [k for k, block in enumerate(blocks) if block.window_size == 0]
        width, heads = self.vit.patch_embed.proj.out_channels, int(innermost(blocks[0].attn).num_heads)  # type: ignore[arg-type]
        return ViTEncoder(
            build_vit(depth=len(blocks), width=width, heads=heads, global_blocks=tuple(wide), side=self.side)
        )

    def early(self, rgb: Tensor) -> Tensor:
        """Patch embedding and the first three quarters of the blocks; returns (B, H / 16, W / 16, D)."""
        x: Tensor = self.vit.patch_embed(rgb)
        if self.vit.pos_embed is not None:
            x = x + self.vit.pos_embed
        for block in self.vit.blocks[: -self.n_late]:
            x = self.through(block, x)
        return x

    def late(self, features: Tensor) -> Tensor:
        """The last quarter of the blocks and SAM's neck."""
        x = features
        for block in self.vit.blocks[-self.n_late :]:
            x = self.through(block, x)
        out: Tensor = self.vit.neck(x.permute(0, 3, 1, 2))
        return out


def keep_biases_fresh(model: nn.Module) -> None:
    """Let attentions whose biases are trained look them up in every pass.

    In evaluation mode TinyViT's attention keeps the biases of its first pass, which is wrong while they change. It has
    nothing else that training mode changes.
    """
    for module in model.modules():
        if isinstance(module, Attention) and module.attention_biases.requires_grad:
            module.train()  # type: ignore[no-untyped-call]


def build_trunk() -> TinyVit:
    """TinyViT-5M as MobileSAM uses it: the last merge keeps its resolution, so that the stride is 16."""
    trunk = TinyVit(
        embed_dims=(64, 128, 160, 320),
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 5, 10),
        window_sizes=(7, 7, 14, 7),
        num_classes=0,
        global_pool="",
        drop_path_rate=0.0,
    )
    last_merge = trunk.get_submodule("stages.3.downsample.conv2.conv")
    assert isinstance(last_merge, nn.Conv2d)
    for module in trunk.modules():
        if isinstance(module, Attention):
            module.__class__ = WindowAttention
    last_merge.stride = (1, 1)
    # Its norm belongs to image classification; SAM's neck takes the map before it.
    trunk.head = nn.Identity()  # type: ignore[assignment]
    return trunk


def build_neck(width: int) -> nn.Sequential:
    """SAM's neck from `width` channels to 256."""
    return nn.Sequential(
        nn.Conv2d(width, EMBEDDING_CHANNELS, 1, bias=False),
        LayerNorm2d(EMBEDDING_CHANNELS),
        nn.Conv2d(EMBEDDING_CHANNELS, EMBEDDING_CHANNELS, 3, padding=1, bias=False),
        LayerNorm2d(EMBEDDING_CHANNELS),
    )


def fold_batch_norms(module: nn.Module) -> None:
    """Replace every convolution with batch norm below `module` by the one convolution that equals it."""
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            setattr(module, name, child.fuse())  # type: ignore[no-untyped-call]
        else:
            fold_batch_norms(child)


def build_vit(
    *, depth: int, width: int, heads: int, global_blocks: tuple[int, ...], side: int = 1024
) -> ImageEncoderViT:
    """Meta's image encoder at any size, as `segment_anything.build_sam` builds its three."""
    return ImageEncoderViT(
        depth=depth,
        embed_dim=width,
        img_size=side,
        mlp_ratio=4,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=heads,
        patch_size=STRIDE,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=global_blocks,
        window_size=14,
        out_chans=EMBEDDING_CHANNELS,
    )
