"""Every fine-tuning strategy of SimMAT's comparison: what of the network is trained (arXiv 2409.08083).

A strategy is written as ``name`` or ``name:parameter=value,...``, such as ``lora:rank=8,stages=late``. The transfer
layer is trained in every one of them, and the prompt encoder in none. With d the width of a block, the numbers of
parameters beside those of the transfer layer are

============  ========================================================  ==================================  ==========
strategy      in each block of the encoder                              in the mask decoder                 SAM ViT-B
============  ========================================================  ==================================  ==========
``lora``      16 d r (rank r; 4 d r with ``layers=qkv``)                5,888 r + 1,280                     0.6 M
``mlp``       2 d w + w + d (width w)                                   2 (513 w + 256) + 1,280             0.6 M
``prompt``    d T (T tokens)                                            1,792 T + 1,280                     0.1 M
``prefix``    2 d T                                                     2,304 T + 1,280                     0.2 M
``decoder``   0                                                         all, 4.1 M                          4.1 M
``full``      all                                                       all, 4.1 M                          93.7 M
============  ========================================================  ==================================  ==========

(The 1,280 are the decoder's query tokens.) The paper compares sizes near 4 M on ViT-B, which are ``lora:rank=26``
(``lora:rank=93,layers=qkv`` for the attention alone, as there), ``mlp:width=205``, ``prompt:tokens=363`` and
``prefix:tokens=193``. For a handful of objects a hundredth of that is plenty, which is what the defaults are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import nn

from napari_simmat.errors import AdapterError
from napari_simmat.models.additions import Addition, additions, matches, put
from napari_simmat.models.encoders import ImageEncoder
from napari_simmat.models.learnt import KINDS
from napari_simmat.models.lora import LoRALinear
from napari_simmat.models.own_weights import TOKENS, named_weights, own_weights
from napari_simmat.models.sam import AdaptedSam, Sam

__all__ = ["STRATEGIES", "Plan", "Strategy"]

STRATEGIES: dict[str, str] = {
    "mat": "the transfer layer alone",
    "lora": "low-rank updates of linear layers: rank=4, layers=all or qkv (default)",
    "mlp": "a bottleneck beside each block's MLP: width=32",
    "prompt": "learnt tokens in front of each layer's projections of keys and values: tokens=8",
    "prefix": "learnt keys and values in each layer: tokens=8",
    "decoder": "the whole mask decoder",
    "full": "everything but the prompt encoder",
    "scratch": "the same from random weights, the transfer layer, too: how little the data alone can do",
}
"""Name and one-line description of each. Those with a number also take stages=all or late and decoder=yes or no."""

_NUMBERS = {"lora": (4, 512), "mlp": (32, 4096), "prompt": (8, 1024), "prefix": (8, 1024)}
"""Default and largest size of what is put beside modules."""
_WORDS = {"layers": ("all", "qkv"), "stages": ("all", "late"), "decoder": ("yes", "no")}
"""Values of the other parameters, the default first."""

_DECODER_LORA = ("mask_decoder.transformer.*q_proj", "mask_decoder.transformer.*v_proj")
_DECODER_BLOCKS = ("mask_decoder.transformer.*",)
_RATES = {"decoder": 3e-4, "full": 3e-5, "scratch": 3e-4}


@dataclass(frozen=True)
class Plan:
    """What of a model is trained.

    Attributes
    ----------
    transfer : bool
        Whether the transfer layer is.
    kind : type of Addition, optional
        What is put beside modules.
    where : tuple of str
        Patterns of the paths of these modules.
    size : int
        How large it is.
    weights : tuple of str
        Patterns of the paths of the network's own weights that are trained.
    """

    transfer: bool
    kind: type[Addition] | None = None
    where: tuple[str, ...] = ()
    size: int = 0
    weights: tuple[str, ...] = ()

    def place(self, sam: Sam) -> None:
        """Put fresh additions in place and make own copies of weights; what is there already stays.

        Raises
        ------
        AdapterError
            What is there already is of another size.
        """
        if self.kind is not None:
            put(sam, self.kind, self.where, self.size)
        own_weights(sam, self.weights)

    def parameters(self, model: AdaptedSam) -> list[nn.Parameter]:
        """What is trained of a model that was built with this plan."""
        transfer = list(model.mat.parameters())
        trained = [*transfer] if self.transfer else []
        for path, found in additions(model.sam):
            if self.kind is not None and isinstance(found, self.kind) and matches(path, self.where):
                trained += found.learnt().values()
        taken = {id(p) for p in transfer}  # a transfer layer's own first convolution stands in the encoder
        weights = [(path, p) for path, _, _, p in named_weights(model.sam) if id(p) not in taken]
        for pattern in self.weights:
            trained += [p for path, p in weights if matches(path, [pattern])]
        return trained


@dataclass(frozen=True)
class Strategy:
    """What is trained in a fine-tuning.

    Attributes
    ----------
    name : str
        A key of `STRATEGIES`.
    given : tuple of (str, str)
        Names and values of the parameters that differ from their defaults.
    """

    name: str
    given: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a strategy as it is written: ``name`` or ``name:parameter=value,...``.

        Raises
        ------
        AdapterError
            There is no such strategy, parameter or value.
        """
        name, colon, rest = text.partition(":")
        if name not in STRATEGIES:
            raise AdapterError(
                f"There is no fine-tuning strategy {name!r}; choose one of {', '.join(STRATEGIES)}."
            )
        given: dict[str, str] = {}
        for part in rest.split(",") if colon else ():
            key, _, value = part.partition("=")
            if key in given or not _allowed(name, key, value):
                raise AdapterError(
                    f"The fine-tuning strategy {text!r} has {part!r} in it; {name} takes {_taken(name)}."
                )
            given[key] = value.lstrip("0")
        defaults = _defaults(name)
        return cls(
            name, tuple((k, given[k]) for k, usual in defaults.items() if given.get(k, usual) != usual)
        )

    def __str__(self) -> str:
        """The one way in which it is written, without what is as by default."""
        given = ",".join(f"{key}={value}" for key, value in self.given)
        return f"{self.name}:{given}" if given else self.name

    def __getitem__(self, parameter: str) -> str:
        """Value of a parameter."""
        return (_defaults(self.name) | dict(self.given))[parameter]

    @property
    def learning_rate(self) -> float | None:
        """Peak learning rate, where the mode's own is too fast.

        To train everything it is 3e-5, as in the paper; for a whole decoder and from random weights 3e-4, which is
        the paper's rate for all else.
        """
        return _RATES.get(self.name)

    @property
    def has_late_part(self) -> bool:
        """Whether it can be trained on cached early features, that is without what comes before these."""
        return self.name not in ("mat", "full", "scratch")

    def plan(self, encoder: ImageEncoder, *, late_only: bool = False) -> Plan:
        """What of a model with this encoder is trained.

        Parameters
        ----------
        encoder : ImageEncoder
        late_only : bool
            Leave out what comes before the early features.
        """
        if self.name == "mat":
            return Plan(transfer=not late_only)
        if self.name == "decoder":
            return Plan(transfer=not late_only, weights=("mask_decoder.*",))
        if self.name in ("full", "scratch"):
            return Plan(transfer=True, weights=("encoder.*", "mask_decoder.*"))
        kind = KINDS[self.name]
        late = late_only or self["stages"] == "late"
        patterns = [f"encoder.{layer}" for layer in encoder.late_layers] if late else ["encoder.*"]
        if kind is LoRALinear and self["layers"] == "qkv":
            patterns = [f"{pattern}qkv" for pattern in patterns]
        weights: tuple[str, ...] = ()
        if self["decoder"] == "yes":
            patterns += _DECODER_LORA if kind is LoRALinear else _DECODER_BLOCKS
            weights = tuple(f"{path}.weight" for path in TOKENS)
        return Plan(not late_only, kind, tuple(patterns), int(self[kind.measure]), weights)


def _words(name: str) -> dict[str, tuple[str, str]]:
    """Parameters of a strategy that are words."""
    return {k: v for k, v in _WORDS.items() if name in _NUMBERS and (name == "lora" or k != "layers")}


def _defaults(name: str) -> dict[str, str]:
    """Parameters of a strategy, in the order in which they are written."""
    number = {KINDS[name].measure: str(_NUMBERS[name][0])} if name in _NUMBERS else {}
    return number | {key: words[0] for key, words in _words(name).items()}


def _allowed(name: str, key: str, value: str) -> bool:
    words = _words(name)
    if key in words:
        return value in words[key]
    is_number = name in _NUMBERS and key == KINDS[name].measure and value.isascii() and value.isdigit()
    return is_number and len(value) < 9 and 1 <= int(value) <= _NUMBERS[name][1]


def _taken(name: str) -> str:
    """The parameters of a strategy in words."""
    if name not in _NUMBERS:
        return "no parameters"
    number = f"{KINDS[name].measure}=1 to {_NUMBERS[name][1]}"
    return ", ".join([number, *(f"{key}={' or '.join(words)}" for key, words in _words(name).items())])
