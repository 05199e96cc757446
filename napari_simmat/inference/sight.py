"""What gives a segmenter its embeddings: a model that looks at an image, or experts that look at it together.

Each expert is an adapter of its own here, with its own key for what is kept in memory and on disk, so one that was asked
before costs no encoding, whichever others are asked with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.images import MultiChannelImage
from napari_simmat.inference.cache import EARLY, EMBEDDINGS, EmbeddingKeys
from napari_simmat.inference.close_up import CloseUp
from napari_simmat.inference.compute import autocast
from napari_simmat.inference.frame import Frame
from napari_simmat.inference.kept import kept_embeddings
from napari_simmat.inference.ready import ready
from napari_simmat.models import AdaptedSam, Adapter, BaseModel
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.models.encoders import STRIDE
from napari_simmat.models.experts import TOGETHER, channels_of, gate_of, member, members_at_hand

__all__ = ["Look", "Sight", "look_at", "lookers"]


@dataclass(frozen=True, eq=False)
class Look:
    """What is looked at, and how.

    Attributes
    ----------
    image : MultiChannelImage
    base : BaseModel
        Where it was loaded; it is brought to `device`.
    device : torch.device
    frame : Frame
    blank : frozenset of int
        Channels that are replaced by their mean, by their numbers among those that the adapter sees.
    keep : bool
        Whether embeddings are kept on disk.
    is_draft : bool
    """

    image: MultiChannelImage
    base: BaseModel
    device: torch.device
    frame: Frame
    blank: frozenset[int] = frozenset()
    keep: bool = False
    is_draft: bool = False


class Sight(ABC):
    """Gives embeddings of an image. To be asked in inference mode.

    Attributes
    ----------
    weights : dict of str to float
        What the gate gives each expert at hand, which sum to one; empty where there are no experts.
    """

    weights: dict[str, float]

    @property
    @abstractmethod
    def decoder(self) -> PromptDecoder:
        """What answers on the embeddings."""

    @abstractmethod
    def embedding(self) -> Tensor:
        """Of the whole frame, (1, 256, h, w); laid out in the same way wherever it comes from."""

    @abstractmethod
    def close_up(self, view: CloseUp) -> Tensor:
        """Of a part of the frame, enlarged, (1, 256, h, w)."""

    @abstractmethod
    def channels(self) -> NDArray[np.float32]:
        """What is seen of the image before any layer, (C, h, w), each channel once; made anew each time."""

    @abstractmethod
    def picture(self) -> Tensor:
        """What the transfer layer makes of the image, (1, 3, h, w)."""


class OneSight(Sight):
    """A model with an adapter."""

    def __init__(self, look: Look, adapter: Adapter) -> None:
        self._look, self._adapter = look, adapter
        self.weights = {}
        self._keys = EmbeddingKeys.of(
            look.image, adapter, look.base, look.device, look.frame.side, look.blank
        )
        self._whole_picture: Tensor | None = None

    @cached_property
    def _ready(self) -> tuple[AdaptedSam, PromptDecoder]:
        return ready(self._adapter, self._look.base.on(self._look.device))

    @property
    def decoder(self) -> PromptDecoder:
        """That of the model."""
        return self._ready[1]

    def embedding(self) -> Tensor:
        """From memory or from disk if it is there."""
        return EMBEDDINGS.get(self._keys.embedding, self._embed)

    def close_up(self, view: CloseUp) -> Tensor:
        """Encoded now."""
        sam = self._ready[0]
        with autocast(self._look.device):
            if self._whole_picture is None:
                self._whole_picture = self.picture()
            return sam.late(sam.early_of(view.cut(self._whole_picture))).float()

    def picture(self) -> Tensor:
        """A transfer layer inside of the encoder leaves the channels as they are."""
        made: Tensor = self._ready[0].mat(self._input())
        return made

    def channels(self) -> NDArray[np.float32]:
        """By the profile; those that are left out have their mean everywhere."""
        look = self._look
        image, profile = look.image, self._adapter.profile
        if look.is_draft and not profile.knows_camera:  # whose geometry is in pixels of the whole
            image = image.thinned(max(image.shape) // look.frame.side)  # few pixels will do
        x = profile.model_input(image, look.frame.shape)
        for k in look.blank:
            x[k] = x[k].mean()
        return x

    def _input(self) -> Tensor:
        return torch.from_numpy(self.channels())[None].to(self._look.device)

    def _embed(self) -> Tensor:
        """The embedding, from disk if it is there; laid out in the same way in any case, for sums are rounded by that."""
        look = self._look
        kept = None if look.is_draft else kept_embeddings()
        found = kept.read(self._keys.embedding) if kept is not None else None
        made = self._encode() if found is None else found.to(look.device)
        if found is None and kept is not None and look.keep:
            kept.write(self._keys.embedding, made)
        return made.contiguous(memory_format=torch.channels_last)

    def _encode(self) -> Tensor:
        with torch.inference_mode(), autocast(self._look.device):
            return self._ready[0].late(EARLY.get(self._keys.early, self._encode_early)).float()

    def _encode_early(self) -> Tensor:
        return self._ready[0].early_of_frame(self._input(), self._look.frame.side)


class SeveralSights(Sight):
    """Experts, of whose embeddings a gate makes one."""

    def __init__(self, look: Look, adapter: Adapter) -> None:
        self._gate = gate_of(adapter).requires_grad_(False).to(look.device)
        height, width = (-(-n // STRIDE) for n in look.frame.shape)
        self._shown = height, width
        self._sights: dict[str, Sight] = {}
        for name in members_at_hand(adapter, look.image):
            own = member(adapter, name, look.image)
            channels = list(channels_of(adapter.profile, name))
            blank = frozenset(channels.index(k) for k in look.blank if k in channels)
            part = Look(look.image, look.base, look.device, look.frame, blank, look.keep, look.is_draft)
            self._sights[name] = OneSight(part, own)
        self.weights = {}

    @property
    def decoder(self) -> PromptDecoder:
        """That of any of them: they share it."""
        return next(iter(self._sights.values())).decoder

    def embedding(self) -> Tensor:
        """Of the kept embeddings of each; their weights are known afterwards."""
        each = {name: sight.embedding() for name, sight in self._sights.items()}
        self.weights = dict(zip(each, self._gate.weights(each, self._shown).tolist(), strict=True))
        fused: Tensor = self._gate(each, self._shown)
        return fused.contiguous(memory_format=torch.channels_last)

    def close_up(self, view: CloseUp) -> Tensor:
        """By the weights that each has for the part."""
        fused: Tensor = self._gate({name: sight.close_up(view) for name, sight in self._sights.items()})
        return fused

    def channels(self) -> NDArray[np.float32]:
        """Those of the one who sees all together, or of each group."""
        sights = self._sights
        chosen = [sights[TOGETHER]] if TOGETHER in sights else list(sights.values())
        return np.concatenate([sight.channels() for sight in chosen])

    def picture(self) -> Tensor:
        """That of the one who sees most, the last."""
        return list(self._sights.values())[-1].picture()


def look_at(look: Look, adapter: Adapter) -> Sight:
    """What looks with an adapter."""
    return SeveralSights(look, adapter) if adapter.card.members else OneSight(look, adapter)


def lookers(adapter: Adapter, image: MultiChannelImage) -> Sequence[Adapter]:
    """The adapters that look at an image, each with an embedding of its own: the adapter, or its experts at hand."""
    if not adapter.card.members:
        return [adapter]
    return [member(adapter, name, image) for name in members_at_hand(adapter, image)]
