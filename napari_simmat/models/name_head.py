"""A head on SAM's embedding that says what things are, in the space of a text encoder (SAM-CLIP, arXiv 2310.15308).

2 x 2 average pooling, a 1 x 1 convolution, transformer layers that normalise first, and of each region the maximum over
its cells, a layer norm and an MLP into the text space. It knows no position, so it takes embeddings of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from napari_simmat.errors import AdapterError
from napari_simmat.models.encoders import EMBEDDING_CHANNELS, STRIDE
from napari_simmat.models.heads import Head

__all__ = ["CELL", "KIND", "NAMES", "NameConfig", "NameHead", "Names", "names_of", "names_to_head"]

NAMES = "names"
"""What the head is called in an adapter."""

KIND = "names"

CELL = 2 * STRIDE
"""Side of the head's cells in pixels of the encoder's frame."""

_EVEN = 0.5  # of a cell that a mask covers


class NameConfig(BaseModel):
    """Sizes of a head, what it was taught by and which names it knows."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    width: int = Field(default=256, ge=16, le=2048, description="Of the transformer.")
    layers: int = Field(default=2, ge=1, le=8, description="Transformer layers.")
    heads: int = Field(default=4, ge=1, le=64, description="Attention heads of each.")
    text: int = Field(ge=2, le=8192, description="Dimension of the text space.")
    teacher: str = Field(default="", max_length=200, description="What it was taught by.")
    view: str = Field(default="", max_length=200, description="What the teacher saw of the images.")
    classes: tuple[str, ...] = Field(
        default=(), max_length=2000, description="Names whose text embeddings are kept, in their order."
    )
    templates: int = Field(
        default=1, ge=1, le=1000, description="Sentences that each of these is the mean of."
    )


class NameHead(nn.Module):
    """From an embedding to the text space.

    Parameters
    ----------
    config : NameConfig
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: NameConfig) -> None:
        super().__init__()
        if config.width % config.heads:
            raise ValueError(f"width {config.width} is no multiple of {config.heads} heads")
        width = config.width
        # SAM's embedding is small and the same nearly everywhere: unless it is standardised nothing is learnt from it.
        self.register_buffer("mean", torch.zeros(EMBEDDING_CHANNELS, 1, 1))
        self.register_buffer("scale", torch.ones(EMBEDDING_CHANNELS, 1, 1))
        self.into = nn.Conv2d(EMBEDDING_CHANNELS, width, 1)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                config.heads,
                2 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, config.text),
        )

    def standardise(self, embeddings: Sequence[Tensor]) -> None:
        """See embeddings (1, 256, h, w) of which each channel has mean 0 and deviation 1 over all of these."""
        places = torch.cat([each[0].flatten(1) for each in embeddings], 1).float()
        self.mean = places.mean(1)[:, None, None]
        self.scale = 1 / places.std(1).clamp_min(1e-6)[:, None, None]

    def cells(self, embedding: Tensor) -> Tensor:
        """Embedding (B, 256, h, w) to one feature for each 2 x 2 places, (B, width, ceil(h / 2), ceil(w / 2)).

        Of a frame that is padded, only the part with the image is to be given.
        """
        seen = (embedding.float() - self.mean) * self.scale
        x = self.into(F.avg_pool2d(seen, 2, ceil_mode=True))
        height, width = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        found: Tensor = x.transpose(1, 2).reshape(len(x), -1, height, width)
        return found

    def project(self, features: Tensor) -> Tensor:
        """Features (..., width) as directions in the text space (..., text), of length one."""
        return F.normalize(self.mlp(self.norm(features)), dim=-1)

    def regions(self, cells: Tensor, cover: Tensor) -> Tensor:
        """Directions (N, text) of regions: the maximum over the cells that each covers.

        Parameters
        ----------
        cells : Tensor, (width, h, w)
        cover : Tensor, (N, h, w)
            Share of each cell that is covered. Of a region that covers no cell by half, those that it covers most count.
        """
        least = cover.amax((1, 2), keepdim=True).clamp(max=_EVEN)
        inside = (cover >= least) & (cover > 0)
        inside |= ~inside.any(2, keepdim=True).any(1, keepdim=True)  # nothing at all: everywhere
        # One region after the other: (N, width, h, w) at once takes hundreds of MB.
        pooled = [cells[:, each].amax(1) for each in inside]
        return self.project(torch.stack(pooled) if pooled else cells.new_zeros(0, len(cells)))

    def whole(self, cells: Tensor) -> Tensor:
        """Directions (B, text) of whole images with these cells (B, width, h, w)."""
        return self.project(cells.amax((2, 3)))

    def text_map(self, cells: Tensor) -> Tensor:
        """The direction of each cell (text, h, w) of (width, h, w)."""
        return self.project(cells.permute(1, 2, 0)).permute(2, 0, 1)


class Names:
    """A head together with the names it knows, as an adapter has it.

    Attributes
    ----------
    config : NameConfig
    head : NameHead
    texts : Tensor, (K, text)
        Direction of each name in `config.classes`.
    background : Tensor, (text,)
        That of what is none of them.
    """

    def __init__(self, config: NameConfig, head: NameHead, texts: Tensor, background: Tensor) -> None:
        self.config, self.head, self.texts, self.background = config, head, texts, background

    def texts_of(self, names: list[str] | None) -> tuple[list[str], Tensor]:
        """Those of some of its names, or of all.

        Raises
        ------
        AdapterError
            One is not among them.
        """
        if not names:
            return list(self.config.classes), self.texts
        known = {name.casefold(): k for k, name in enumerate(self.config.classes)}
        missing = [name for name in names if name.casefold() not in known]
        if missing:
            shown = ", ".join(self.config.classes[:12]) + (", ..." if len(known) > 12 else "")
            raise AdapterError(
                f"The adapter keeps no text for {missing[0]!r}, it knows {shown}; choose one of these, or teach it this "
                "name with a CLIP."
            )
        index = [known[name.casefold()] for name in names]
        return [self.config.classes[k] for k in index], self.texts[index]


def names_to_head(names: Names) -> Head:
    """As an adapter keeps it."""
    tensors = {f"head.{key}": value for key, value in names.head.state_dict().items()}
    return Head.of(
        KIND,
        names.config.model_dump(mode="json"),
        tensors | {"texts": names.texts, "background": names.background},
    )


def names_of(heads: dict[str, Head]) -> Names | None:
    """What `names_to_head` gave to an adapter with these heads; None if it has none.

    Raises
    ------
    AdapterError
        It is damaged.
    """
    head = heads.get(NAMES)
    if head is None or head.kind != KIND:
        return None
    try:
        config = NameConfig.model_validate(dict(head.config))
        texts, background = head.tensors["texts"], head.tensors["background"]
        if texts.shape != (len(config.classes), config.text) or background.shape != texts.shape[1:]:
            raise ValueError(f"texts of shape {tuple(texts.shape)} for {len(config.classes)} names")
    except (ValidationError, ValueError, KeyError) as error:
        raise AdapterError(
            f"The names in this adapter are damaged ({str(error).splitlines()[0][:100]}); teach them anew."
        ) from error
    own: dict[str, Any] = {k[5:]: v for k, v in head.tensors.items() if k.startswith("head.")}
    module = Head(head.kind, head.config, own).filled(lambda: NameHead(config))
    return Names(config, module, texts, background)
