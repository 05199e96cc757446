"""A CLIP of the user's own as teacher: a folder or a checkpoint of OpenCLIP, read from disk and from nowhere else.

A folder is what models of OpenCLIP on the web consist of: `open_clip_config.json` and the weights. A checkpoint alone
(`.safetensors`, `.pt`, `.pth`, `.bin`) is enough where the network is a CLIP with a vision transformer: its sizes are in
the shapes of its weights.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_simmat.errors import WeightsError
from napari_simmat.models.base import read_checkpoint

__all__ = ["MISSING", "OpenClipTeacher", "load_teacher"]

CONFIG = "open_clip_config.json"
MISSING = (
    "To learn names from a CLIP the package open_clip_torch is needed, which is not installed; install it with: "
    "pip install napari-simmat[clip]."
)

_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
)
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_MOST_CONFIG = 1 << 20
_LARGEST = {"layers": 100, "default": 1_000_000}
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_BATCH = 32


class OpenClipTeacher:
    """A CLIP as `Teacher`.

    Parameters
    ----------
    model : nn.Module
        Has ``encode_image`` and ``encode_text``.
    tokenizer : callable
        From sentences to tokens.
    name : str
    side : int
    mean, std : sequences of three float
        Of red, green and blue as it takes them.
    device : str
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        name: str,
        side: int,
        mean: Sequence[float] = _MEAN,
        std: Sequence[float] = _STD,
        device: str = "cpu",
    ) -> None:
        self.name, self.side = name, side
        self._model = model.eval().requires_grad_(False).to(device)
        self._tokenizer, self._device = tokenizer, device
        self._mean = torch.tensor(mean, device=device)[:, None, None]
        self._std = torch.tensor(std, device=device)[:, None, None]

    @torch.no_grad()
    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """As `Teacher`."""
        found = [
            self._model.encode_image((part.to(self._device) - self._mean) / self._std)  # type: ignore[operator]
            for part in torch.split(pictures, _BATCH)
        ]
        return F.normalize(torch.cat(found).float().cpu(), dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """As `Teacher`."""
        tokens = self._tokenizer(list(texts)).to(self._device)
        found = self._model.encode_text(tokens)  # type: ignore[operator]
        return F.normalize(found.float().cpu(), dim=-1)


def load_teacher(path: Path, *, device: str = "cpu") -> OpenClipTeacher:
    """Read a CLIP from a folder or a checkpoint; nothing is asked from the network.

    Raises
    ------
    WeightsError
        OpenCLIP is not installed, or there is no CLIP that it knows.
    """
    place = Path(path).expanduser()
    config_file, weights = _found(place)
    state = _cleaned(read_checkpoint(weights))
    whole = _read_config(config_file) if config_file is not None else {"model_cfg": _guessed(state, weights)}
    config = whole.get("model_cfg")
    if not isinstance(config, dict):
        raise WeightsError(
            f"{CONFIG} in {place.name} says nothing of a model, expected a model_cfg; take all files of the model."
        )
    _check_config(config, place)
    model = _built(config, state, weights.name)
    given = whole.get("preprocess_cfg")
    given = given if isinstance(given, dict) else {}
    mean, std = (_three(given.get(key), default) for key, default in (("mean", _MEAN), ("std", _STD)))
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().float().sum().numpy().tobytes())
    return OpenClipTeacher(
        model,
        _tokenizer_of(config, place.name),
        name=f"{place.name} ({digest.hexdigest()[:8]})",
        side=_side_of(config),
        mean=mean,
        std=std,
        device=device,
    )


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise WeightsError(MISSING) from error
    return open_clip


def _found(place: Path) -> tuple[Path | None, Path]:
    """Where its settings (if anywhere) and its weights are."""
    if place.is_dir():
        weights = [place / name for name in _WEIGHTS if (place / name).is_file()]
        if not weights:
            weights = sorted(file for file in place.iterdir() if file.suffix in _SUFFIXES and file.is_file())
        if not weights:
            raise WeightsError(
                f"The folder {place} holds no weights, expected those of a CLIP as OpenCLIP saves them "
                f"({_WEIGHTS[0]}); choose the folder of the model."
            )
        config = place / CONFIG
        return (config if config.is_file() else None), weights[0]
    if not place.is_file():
        raise WeightsError(
            f"Found no CLIP at {place}, expected a folder or a checkpoint of OpenCLIP; choose an existing one."
        )
    config = place.with_name(CONFIG)
    return (config if config.is_file() else None), place


def _read_config(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MOST_CONFIG:
            raise ValueError("it is too large")
        found = json.loads(file.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{file} is no description of a CLIP ({str(error)[:80]}), expected JSON; take all files of the model."
        ) from error
    return found


def _cleaned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix that training on several devices leaves."""
    return {name.removeprefix("module.").removeprefix("_orig_mod."): value for name, value in state.items()}


def _guessed(state: Mapping[str, Tensor], file: Path) -> dict[str, Any]:
    """The settings of a CLIP with a vision transformer, from the shapes of its weights."""
    try:
        patches, places = state["visual.conv1.weight"], state["visual.positional_embedding"]
        words, sentence = state["token_embedding.weight"], state["positional_embedding"]
        width, patch = int(patches.shape[0]), int(patches.shape[-1])
        text_width = int(words.shape[1])
        # The only layer there with both numbers that is not square in general.
        config = {
            "embed_dim": int(state["text_projection"].shape[1]),
            "quick_gelu": bool(re.search(r"openai|quickgelu|dfn", file.name.lower())),
            "vision_cfg": {
                "width": width,
                "layers": _layers(state, "visual.transformer.resblocks."),
                "patch_size": patch,
                "image_size": round((places.shape[0] - 1) ** 0.5) * patch,
                "head_width": 64 if width % 64 == 0 else width,
                "mlp_ratio": state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / width,
            },
            "text_cfg": {
                "width": text_width,
                "layers": _layers(state, "transformer.resblocks."),
                "heads": max(1, text_width // 64),
                "context_length": int(sentence.shape[0]),
                "vocab_size": int(words.shape[0]),
            },
        }
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise WeightsError(
            f"{file.name} is no CLIP with a vision transformer ({str(error)[:60]} is not in it); put {CONFIG} of "
            "the model beside it, or choose its folder."
        ) from error
    return config


def _layers(state: Mapping[str, Tensor], prefix: str) -> int:
    numbers = [name[len(prefix) :].partition(".")[0] for name in state if name.startswith(prefix)]
    return max(int(number) for number in numbers if number.isdecimal()) + 1 if numbers else 0


def _check_config(config: Any, place: Path, key: str = "default") -> None:
    """Refuse numbers that no CLIP has: a network of a million layers takes time even where it takes no memory."""
    values = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    keys = list(config) if isinstance(config, dict) else [key] * len(values)
    for name, value in zip(keys, values, strict=True):
        largest = _LARGEST.get(str(name), _LARGEST["default"])
        if isinstance(value, int | float) and not abs(value) <= largest:
            raise WeightsError(
                f"{place.name} says {str(name)[:40]} = {value:g}, expected at most {largest}; it is no CLIP."
            )
        _check_config(value, place, str(name))


def _built(config: Mapping[str, Any], state: dict[str, Tensor], file: str) -> nn.Module:
    open_clip = _open_clip()
    vision, text = config.get("vision_cfg"), config.get("text_cfg")
    if not isinstance(vision, dict) or not isinstance(text, dict):
        raise WeightsError(
            f"The description of {file} lacks vision_cfg or text_cfg; take all files of the model."
        )
    if text.get("hf_model_name") or text.get("hf_tokenizer_name"):
        raise WeightsError(
            f"{file} takes its text encoder or its words from another package, which this version does not read; choose "
            "a CLIP with OpenCLIP's own, such as ViT-B-32 or ViT-L-14."
        )
    settings = {key: value for key, value in config.items() if key != "custom_text"}
    vision = {**vision, "timm_model_pretrained": False}  # no network
    kind = open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP
    level = logging.getLogger().level
    try:
        arguments = {**settings, "vision_cfg": vision, "text_cfg": text}
        with torch.device("meta"):  # takes no memory for what the file may not have
            shapes = {name: value.shape for name, value in kind(**arguments).state_dict().items()}
        wrong = [name for name, shape in shapes.items() if name not in state or state[name].shape != shape]
        if wrong:
            raise ValueError(f"{wrong[0][:60]!r} is missing or has another shape")
        model: nn.Module = kind(**arguments)
        model.load_state_dict({name: state[name].float() for name in shapes})
    except (TypeError, ValueError, RuntimeError, AssertionError, KeyError, AttributeError) as error:
        raise WeightsError(
            f"{file} is not the CLIP that its description says ({str(error).splitlines()[0][:120]}); take all files "
            "of the model."
        ) from error
    finally:
        logging.getLogger().setLevel(level)
    return model


def _tokenizer_of(config: Mapping[str, Any], name: str) -> Any:
    text = config["text_cfg"]
    return _open_clip().SimpleTokenizer(context_length=int(text.get("context_length", 77)))


def _side_of(config: Mapping[str, Any]) -> int:
    size = config["vision_cfg"].get("image_size", 224)
    return int(size[0] if isinstance(size, list | tuple) else size)


def _three(found: Any, default: tuple[float, float, float]) -> tuple[float, ...]:
    if isinstance(found, list) and len(found) == 3 and all(isinstance(v, int | float) for v in found):
        return tuple(float(v) for v in found)
    return default
