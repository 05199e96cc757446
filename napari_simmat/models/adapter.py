"""The adapter: what was learnt, as one small file that users share, switch and undo."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import AdapterError, SimmatError
from napari_simmat.images import ModalityProfile, MultiChannelImage, profile_for
from napari_simmat.models.base import BaseModel, load_base_model
from napari_simmat.models.card import AdapterCard
from napari_simmat.models.lora import inject, lora_layers, merge, sharing_copy
from napari_simmat.models.mat import (
    BOTTLENECK,
    MAX_DIRECT_CHANNELS,
    component_colours,
    pick_channels,
    principal_components,
    whitened,
)
from napari_simmat.models.sam import AdaptedSam, Sam
from napari_simmat.models.seeding import seeded
from napari_simmat.models.transfer import build_transfer, canonical_name

FORMAT = "napari-simmat adapter 1"
TOKENS = ("mask_decoder.mask_tokens", "mask_decoder.iou_token")
"""Learnt query vectors of SAM's mask decoder; an adapter may carry its own."""

_SAMPLE_SIDE = 192
_MAX_KERNEL = 4096  # beyond any encoder's width and any number of channels


class Adapter:
    """Profile, MAT, LoRA and a card. Not to be changed: training gives a new one.

    Parameters
    ----------
    profile : ModalityProfile
        How an image becomes model input.
    card : AdapterCard
        Where the adapter comes from.
    tensors : dict of str to Tensor
        Named ``mat.*``, ``lora.<path of a linear layer>.a`` and ``.b``, ``token.<path>``; float32 on the CPU.
    """

    def __init__(self, profile: ModalityProfile, card: AdapterCard, tensors: dict[str, Tensor]) -> None:
        self.profile = profile
        self.card = card
        self.tensors = {
            k: v.detach().to("cpu", torch.float32).clone().contiguous() for k, v in tensors.items()
        }

    @classmethod
    def untrained(
        cls,
        images: MultiChannelImage | Sequence[MultiChannelImage],
        *,
        profile: ModalityProfile | None = None,
        mat: str = "mat",
        base: BaseModel | None = None,
    ) -> Adapter:
        """The starting point: exactly SAM on the profile's pseudo-RGB (``mat="mat"``).

        Parameters
        ----------
        images : MultiChannelImage or sequence of them
            The first one's profile is taken; all are looked at where principal components are needed.
        profile : ModalityProfile, optional
            Another profile than the images' built-in one.
        mat : str
            The transfer layer, a key of `TRANSFERS`.
        base : BaseModel, optional
            Another base model than the embedded default.

        Raises
        ------
        AdapterError
            If an image does not have the profile's channels.
        """
        listed = [images] if isinstance(images, MultiChannelImage) else list(images)
        profile = profile_for(listed[0]) if profile is None else profile
        base = load_base_model() if base is None else base
        count = profile.n_channels
        projection, components = None, None
        if count > MAX_DIRECT_CHANNELS or profile.pseudo_rgb is None:
            samples = torch.cat([_pixels(profile, image) for image in listed[:8]])
            directions, spreads = principal_components(samples, BOTTLENECK)
            components = whitened(directions, spreads)
            projection = component_colours(directions[:3], spreads[:3])
        if profile.pseudo_rgb is not None:
            projection = pick_channels(count, profile.pseudo_rgb)
        # The same start each time: embeddings are cached under the adapter's fingerprint.
        with seeded(0):
            module = build_transfer(
                mat,
                count,
                base.sam.encoder.first_convolution,
                projection=projection,
                components=components,
            )
        card = AdapterCard(base_model=base.name, base_sha256=base.sha256, mat=canonical_name(mat))
        return cls(profile, card, {f"mat.{k}": v for k, v in module.state_dict().items()})

    @property
    def is_trained(self) -> bool:
        """Whether it differs from its starting point."""
        return bool(self.card.history)

    @property
    def fingerprint(self) -> str:
        """Hash of all that changes what the model answers; a key for caches and journals."""
        digest = hashlib.sha256(self.profile.model_dump_json().encode())
        digest.update(self.card.base_sha256.encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]

    def fits(self, image: MultiChannelImage) -> None:
        """Check that the image has the channels that this adapter was made for.

        Raises
        ------
        AdapterError
            Names the channels of both.
        """
        self.profile.check(image)

    def belongs_to(self, base: BaseModel) -> None:
        """Check that this adapter was made for a base model.

        Raises
        ------
        AdapterError
            Names both.
        """
        if self.card.base_sha256 != base.sha256:
            raise AdapterError(
                f"The adapter {self.card.name!r} was trained on {self.card.base_model} "
                f"({self.card.base_sha256[:8]}), the model at hand is {base.name} ({base.sha256[:8]}); "
                f"load that model or train anew."
            )

    def build(
        self, base: BaseModel, *, lora: Sequence[str] = (), own: Sequence[str] = (), seed: int = 0
    ) -> AdaptedSam:
        """A model with this adapter in place, sharing all frozen weights with the base model.

        Parameters
        ----------
        base : BaseModel
        lora : sequence of str
            Patterns of further linear layers that get a fresh LoRA, for training.
        own : sequence of str
            Paths of tokens that get an own copy, for training.
        seed : int
            Of the random start of fresh LoRA.

        Returns
        -------
        AdaptedSam
            With LoRA beside the layers, not merged; nothing requires gradients.

        Raises
        ------
        AdapterError
            The adapter belongs to another base model, or its tensors do not fit it.
        """
        self.belongs_to(base)
        sam = sharing_copy(base.sam)
        assert isinstance(sam, Sam)
        paths = [k[len("lora.") : -2] for k in self.tensors if k.startswith("lora.") and k.endswith(".a")]
        try:
            with seeded(seed):
                mat = build_transfer(self.card.mat, self.profile.n_channels, sam.encoder.first_convolution)
                inject(sam, [*paths, *lora], rank=self.card.rank, alpha=self.card.rank)
            mat.load_state_dict({k[4:]: v for k, v in self.tensors.items() if k.startswith("mat.")})
            for path, layer in lora_layers(sam):
                if f"lora.{path}.a" in self.tensors:
                    layer.a.data.copy_(self.tensors[f"lora.{path}.a"])
                    layer.b.data.copy_(self.tensors[f"lora.{path}.b"])
            for path in TOKENS:
                if f"token.{path}" in self.tensors or path in own:
                    _own_weight(sam, path, self.tensors.get(f"token.{path}"))
        except (RuntimeError, AttributeError, KeyError) as error:
            raise AdapterError(
                f"The tensors of the adapter {self.card.name!r} do not fit {base.name} "
                f"({str(error).splitlines()[-1].strip()[:120]}); load another adapter."
            ) from error
        stem = getattr(mat, "stem", None)
        if stem is not None:
            sam.encoder.replace_first_convolution(stem)
        model = AdaptedSam(mat, sam).requires_grad_(False).eval()
        device = next(base.sam.parameters()).device
        return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def build_merged(self, base: BaseModel) -> AdaptedSam:
        """As `build`, for answering: LoRA merged into the layers, which costs nothing at run time."""
        model = self.build(base)
        merge(model.sam)
        return model

    def replaced(self, *, model: AdaptedSam, card: AdapterCard) -> Adapter:
        """A new adapter with what `model` learnt; the profile stays.

        LoRA is rounded to half precision, as it is saved, so that the adapter that was judged is the one in the file.
        """
        tensors = {f"mat.{k}": v for k, v in model.mat.state_dict().items()}
        for path, layer in lora_layers(model.sam):
            tensors[f"lora.{path}.a"] = layer.a.detach().half().float()
            tensors[f"lora.{path}.b"] = layer.b.detach().half().float()
        for path in TOKENS:
            weight = model.sam.get_submodule(path).weight
            if f"token.{path}" in self.tensors or weight.requires_grad:
                assert isinstance(weight, Tensor)
                tensors[f"token.{path}"] = weight
        return Adapter(self.profile, card, tensors)

    def with_card(self, **changes: object) -> Adapter:
        """The same adapter with another name, history, ..."""
        return Adapter(self.profile, self.card.model_copy(update=changes), self.tensors)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one `.safetensors` file; what was at `path` stays whole if that fails.

        Raises
        ------
        AdapterError
            The file cannot be written.
        """
        tensors = {k: v.half() if k.startswith("lora.") else v for k, v in self.tensors.items()}
        metadata = {
            "format": FORMAT,
            "profile": self.profile.model_dump_json(),
            "card": self.card.model_dump_json(),
        }
        write_atomically(Path(path).expanduser(), save(tensors, metadata), error=AdapterError)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Adapter:
        """Read an adapter file.

        Raises
        ------
        AdapterError
            The file is missing, damaged or no adapter; one sentence says which.
        """
        file = Path(path).expanduser()
        if not file.is_file():
            raise AdapterError(f"Found no adapter at {file}; choose an existing .safetensors file.")
        try:
            with safe_open(file, framework="pt") as opened:
                metadata = opened.metadata() or {}
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise AdapterError(
                f"{file.name} is not a readable .safetensors file ({str(error)[:80]}), expected an adapter saved by "
                "napari-simmat; save or download it again."
            ) from error
        if metadata.get("format") != FORMAT:
            raise AdapterError(
                f"{file.name} has the format {metadata.get('format', 'unknown')!r}, expected {FORMAT!r}: it is no "
                "adapter of this version of napari-simmat (a base model is loaded as a model)."
            )
        try:
            profile = ModalityProfile.model_validate_json(metadata.get("profile", ""))
            card = AdapterCard.model_validate_json(metadata.get("card", ""))
            weights = {k[4:]: v for k, v in tensors.items() if k.startswith("mat.")}
            build_transfer(card.mat, profile.n_channels, _kernel_of(weights)).load_state_dict(weights)
        except (ValidationError, RuntimeError, SimmatError) as error:
            raise AdapterError(
                f"The adapter file {file.name} is damaged ({str(error).splitlines()[0][:100]}); save it again."
            ) from error
        if any(not torch.isfinite(t).all() for t in tensors.values()):
            raise AdapterError(
                f"The adapter file {file.name} holds numbers that are not finite; save it again."
            )
        return cls(profile, card, tensors)


def _kernel_of(weights: dict[str, Tensor]) -> nn.Conv2d:
    """A convolution of the size of the encoder's first one, as far as the weights of a transfer layer tell it."""
    known = weights.get("stem.weight", weights.get("stem.embeddings"))
    if known is None or known.ndim != 4 or max(known.shape) > _MAX_KERNEL:
        return nn.Conv2d(3, 1, 1)
    return nn.Conv2d(3, known.shape[0], (known.shape[2], known.shape[3]))


def _own_weight(sam: Sam, path: str, value: Tensor | None) -> None:
    """Give a module its own weight; the base model keeps the shared one."""
    module = sam.get_submodule(path)
    assert isinstance(module, nn.Embedding)
    weight = module.weight if value is None else value.to(module.weight)
    if weight.shape != module.weight.shape:
        raise RuntimeError(f"{path} has shape {tuple(weight.shape)}, expected {tuple(module.weight.shape)}")
    module.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)


def _pixels(profile: ModalityProfile, image: MultiChannelImage) -> Tensor:
    """Model input of an image as samples (N, C), from a small copy."""
    height, width = image.shape
    shrink = min(1.0, _SAMPLE_SIDE / max(height, width))
    shape = max(1, round(height * shrink)), max(1, round(width * shrink))
    return torch.from_numpy(profile.model_input(image, shape)).flatten(1).T
