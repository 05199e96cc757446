"""Prompt tuning and prefix tuning: learnt tokens that attention looks at beside the image.

Prompt tuning (VPT-deep, arXiv 2203.12119, here for keys and values alone): T learnt tokens per layer go through the
layer's own projections of keys and values. Prefix tuning (arXiv 2101.00190): T learnt keys and T learnt values per
layer. Queries are those of the image alone, so the number of tokens that leave the layer does not change.

Softmax shares attention out among all tokens, so no token but one that nobody looks at leaves the output as it was,
and a gate that starts closed is another method. What is published is built here, with the most neutral start that it
has: the key and the value that the layer gives to a token of zeros (its biases), with a little noise that tells the
tokens apart.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from napari_simmat.models.additions import Addition
from napari_simmat.models.attention import Layout, layout_of

__all__ = ["PrefixTokens", "PromptTokens"]

_NOISE = 0.02


class Tokens(Addition):
    """A frozen attention that looks at further tokens, too."""

    measure = "tokens"

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        """Attentions of the encoders and of the mask decoder."""
        return layout_of(module) is not None

    @property
    def layout(self) -> Layout:
        """How the attention stores what it has."""
        found = layout_of(self.base)
        assert found is not None
        return found

    @abstractmethod
    def own(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """Keys and values (heads, T, channels of a head) that are learnt here."""

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """What the attention takes and gives."""
        layout = self.layout
        pairs = [tokens.own(layout) for tokens in self._chain()]
        keys, values = (torch.cat(both, 1) for both in zip(*pairs, strict=True))
        return layout.attend(
            keys, values, *inputs, *(named[name] for name in ("q", "k", "v") if name in named)
        )

    def _chain(self) -> list[Tokens]:
        """These tokens and those that were put there before, which stand in the same softmax."""
        return [self, *(self.base._chain() if isinstance(self.base, Tokens) else ())]


class PromptTokens(Tokens):
    """An attention with learnt tokens that go through its projections of keys and values.

    Parameters
    ----------
    base : nn.Module
        The attention; stays as it is.
    size : int
        T, the number of tokens; T times the layer's width are learnt.
    """

    kind = "prompt"
    lead = "tokens"

    def __init__(self, base: nn.Module, size: int) -> None:
        super().__init__(base, size)
        self.tokens = nn.Parameter(_NOISE * torch.randn(size, self.layout.width))

    def own(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """Projected as the image's tokens are."""
        return layout.project(self.tokens)


class PrefixTokens(Tokens):
    """An attention with learnt keys and values.

    Parameters
    ----------
    base : nn.Module
        The attention; stays as it is.
    size : int
        T, the number of keys and values; T times the layer's channels of keys and of values are learnt.
    """

    kind = "prefix"
    lead = "keys"

    def __init__(self, base: nn.Module, size: int) -> None:
        super().__init__(base, size)
        layout = self.layout
        device = next(base.parameters()).device
        keys, values = layout.project(torch.zeros(size, layout.width, device=device))
        self.keys = nn.Parameter(_beside(keys))
        self.values = nn.Parameter(_beside(values))

    def own(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """As they are."""
        keys, values = (x.reshape(len(x), layout.heads, -1).transpose(0, 1) for x in (self.keys, self.values))
        return keys, values


def _beside(start: Tensor) -> Tensor:
    """(heads, T, channels of a head) to (T, all) with noise, drawn on the CPU so that it is the same everywhere."""
    flat = start.detach().transpose(0, 1).flatten(1)
    return flat + (_NOISE * torch.randn(flat.shape)).to(flat)
