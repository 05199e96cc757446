"""The adapter: what was learnt, as one small file that users share, switch and undo."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import AdapterError, SimmatError
from napari_simmat.images import ModalityProfile, MultiChannelImage, profile_for
from napari_simmat.models.additions import matches, sharing_copy
from napari_simmat.models.base import BaseModel, load_base_model
from napari_simmat.models.card import AdapterCard
from napari_simmat.models.experts import channels_of, check_members, members_at_hand
from napari_simmat.models.header import HeaderError, check_header
from napari_simmat.models.heads import (
    PREFIX,
    Head,
    fingerprint_with,
    heads_from_file,
    heads_in_file,
    metadata_of,
)
from napari_simmat.models.learnt import EXPERT, in_file, put_in_place, taken_out, unknown
from napari_simmat.models.lora import merge, unmerge
from napari_simmat.models.mat import (
    BOTTLENECK,
    MAX_DIRECT_CHANNELS,
    component_colours,
    pick_channels,
    principal_components,
    whitened,
)
from napari_simmat.models.own_weights import TOKENS
from napari_simmat.models.sam import AdaptedSam, Sam
from napari_simmat.models.seeding import seeded
from napari_simmat.models.strategies import Plan
from napari_simmat.models.transfer import build_transfer, canonical_name

__all__ = ["FORMAT", "TOKENS", "Adapter"]

FORMAT = "napari-simmat adapter 1"

_SAMPLE_SIDE = 192
_MAX_KERNEL = 4096  # beyond any encoder's width and any number of channels


class Adapter:
    """Profile, transfer layer, whatever else was learnt, and a card. Not to be changed: training gives a new one.

    Parameters
    ----------
    profile : ModalityProfile
        How an image becomes model input.
    card : AdapterCard
        Where the adapter comes from.
    tensors : dict of str to Tensor
        Named as `napari_simmat.models.learnt` says, such as ``mat.*`` and ``lora.<path of a linear layer>.a``; float32
        on the CPU.
    heads : mapping of str to Head
        What more was learnt to say of an embedding; no part of the model that gives masks.
    """

    def __init__(
        self,
        profile: ModalityProfile,
        card: AdapterCard,
        tensors: dict[str, Tensor],
        heads: Mapping[str, Head] | None = None,
    ) -> None:
        self.profile = profile
        self.card = card
        self.heads = dict(heads or {})
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
        return any(run.kept for run in self.card.history)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that changes what the model or a head answers; what journals know the adapter by."""
        return fingerprint_with(self.fingerprint_without(()), self.heads)

    def fingerprint_without(self, parts: tuple[str, ...]) -> str:
        """Hash of all that changes what the model does before some of its parts; heads come after all of them.

        Parameters
        ----------
        parts : tuple of str
            Patterns of paths of modules, such as those of the mask decoder: what is learnt there is passed over.
        """
        digest = hashlib.sha256(self.profile.model_dump_json().encode())
        digest.update(self.card.base_sha256.encode())
        if self.card.missing:
            digest.update(repr(self.card.missing).encode())
        for name, tensor in sorted(self.tensors.items()):
            if not matches(name.partition(".")[2], parts) or name.startswith("mat."):
                digest.update(name.encode())
                digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]

    def fits(self, image: MultiChannelImage) -> None:
        """Check that the image has the channels that this adapter was made for, of experts at least one group of them.

        Raises
        ------
        AdapterError
            Names the channels of both.
        """
        if self.card.members:
            members_at_hand(self, image)
        else:
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

    def build(self, base: BaseModel, *, plan: Plan | None = None, seed: int = 0) -> AdaptedSam:
        """A model with this adapter in place, sharing all frozen weights with the base model.

        Parameters
        ----------
        base : BaseModel
        plan : Plan, optional
            What is to be trained: what of it the adapter does not have is put in place at its start.
        seed : int
            Of the random start of that.

        Returns
        -------
        AdaptedSam
            With LoRA beside the layers, not merged; nothing requires gradients.

        Raises
        ------
        AdapterError
            The adapter belongs to another base model, or its tensors do not fit it or the plan; of experts each member
            is built by itself.
        """
        self.belongs_to(base)
        if self.card.members:
            raise AdapterError(
                f"The adapter {self.card.name!r} has an expert for each group of channels, which is not possible here; "
                "choose one without experts."
            )
        sam = sharing_copy(base.sam)
        assert isinstance(sam, Sam)
        with seeded(seed), self._fitting(base):
            put_in_place(sam, self.tensors)
            mat = self._transfer(sam)
            if plan is not None:
                plan.place(sam)
        stem = getattr(mat, "stem", None)
        if stem is not None:
            sam.encoder.replace_first_convolution(stem)
        model = AdaptedSam(mat, sam).requires_grad_(False).eval()
        device = next(base.sam.parameters()).device
        return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def build_transfer_alone(self, base: BaseModel) -> nn.Module | None:
        """The transfer layer, for whoever has a model of which nothing else differs; None if this adapter changes more.

        Raises
        ------
        AdapterError
            As `build`.
        """
        self.belongs_to(base)
        if any(not name.startswith("mat.") for name in self.tensors):
            return None
        with seeded(0), self._fitting(base):
            mat = self._transfer(base.sam)
        if getattr(mat, "stem", None) is not None:
            return None
        device = next(base.sam.parameters()).device
        mat = mat.requires_grad_(False).eval()
        return mat.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _transfer(self, sam: Sam) -> nn.Module:
        mat = build_transfer(self.card.mat, self.profile.n_channels, sam.encoder.first_convolution)
        mat.load_state_dict({k[4:]: v for k, v in self.tensors.items() if k.startswith("mat.")})
        return mat

    @contextmanager
    def _fitting(self, base: BaseModel) -> Iterator[None]:
        """What goes wrong in here is said in one sentence."""
        try:
            yield
        except (RuntimeError, AttributeError, KeyError, TypeError) as error:
            raise AdapterError(
                f"The tensors of the adapter {self.card.name!r} do not fit {base.name} "
                f"({str(error).splitlines()[-1].strip()[:120]}); load another adapter."
            ) from error

    def build_merged(self, base: BaseModel) -> AdaptedSam:
        """As `build`, for answering: LoRA merged into the layers, which costs nothing at run time."""
        model = self.build(base)
        merge(model.sam)
        return model

    def replaced(self, *, model: AdaptedSam, card: AdapterCard) -> Adapter:
        """A new adapter with what `model` learnt; the profile stays.

        What was learnt is rounded to half precision, as it is saved, so that what is judged is what a file holds. A
        merged model is taken apart again. Heads stay as they are.
        """
        unmerge(model.sam)
        return Adapter(self.profile, card, taken_out(model, self.tensors), self.heads)

    def with_card(self, **changes: object) -> Adapter:
        """The same adapter with another name, history, ..."""
        return Adapter(self.profile, self.card.model_copy(update=changes), self.tensors, self.heads)

    def with_head(self, name: str, head: Head | None) -> Adapter:
        """The same adapter with another head of this name, or None without it."""
        others = {key: value for key, value in self.heads.items() if key != name}
        return Adapter(
            self.profile, self.card, self.tensors, others if head is None else others | {name: head}
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one `.safetensors` file; what was at `path` stays whole if that fails.

        Raises
        ------
        AdapterError
            The file cannot be written.
        """
        write_atomically(Path(path).expanduser(), self.to_bytes(), error=AdapterError)

    def to_bytes(self) -> bytes:
        """What `save` writes."""
        metadata = {
            "format": FORMAT,
            "profile": self.profile.model_dump_json(),
            "card": self.card.model_dump_json(),
            **metadata_of(self.heads),
        }
        return save(in_file(self.tensors | heads_in_file(self.heads)), metadata)

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
            check_header(file)
            with safe_open(file, framework="pt") as opened:
                metadata = opened.metadata() or {}
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, HeaderError, OSError) as error:
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
            of_heads = {k: tensors.pop(k) for k in list(tensors) if k.startswith(PREFIX)}
            heads = heads_from_file(metadata.get("heads"), of_heads)
            for start, count in _layers(profile, card, tensors).items():
                weights = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
                with torch.device("meta"):  # takes no memory for what the file may not have
                    layer = build_transfer(card.mat, count, _kernel_of(weights))
                layer.load_state_dict(weights, assign=True)
        except (ValueError, RecursionError, RuntimeError, SimmatError) as error:
            raise AdapterError(
                f"The adapter file {file.name} is damaged ({str(error).splitlines()[0][:100]}); save it again."
            ) from error
        if (name := unknown(tensors)) is not None:
            raise AdapterError(
                f"The adapter file {file.name} holds {name[:60]!r}, which this version of napari-simmat does not know; "
                "install a newer one."
            )
        if any(not torch.isfinite(t).all() for t in (*tensors.values(), *of_heads.values())):
            raise AdapterError(
                f"The adapter file {file.name} holds numbers that are not finite; save it again."
            )
        return cls(profile, card, tensors, heads)


def _layers(profile: ModalityProfile, card: AdapterCard, tensors: dict[str, Tensor]) -> dict[str, int]:
    """How the names of each transfer layer's tensors begin, and how many channels it takes."""
    if not card.members:
        return {"mat.": profile.n_channels}
    check_members(profile, card.members, tensors)
    return {f"{EXPERT}.{name}.mat.": len(channels_of(profile, name)) for name in card.members}


def _kernel_of(weights: dict[str, Tensor]) -> nn.Conv2d:
    """A convolution of the size of the encoder's first one, as far as the weights of a transfer layer tell it."""
    known = weights.get("stem.weight", weights.get("stem.embeddings"))
    if known is None or known.ndim != 4 or max(known.shape) > _MAX_KERNEL:
        return nn.Conv2d(3, 1, 1)
    return nn.Conv2d(3, known.shape[0], (known.shape[2], known.shape[3]))


def _pixels(profile: ModalityProfile, image: MultiChannelImage) -> Tensor:
    """Model input of an image as samples (N, C), from a small copy."""
    height, width = image.shape
    shrink = min(1.0, _SAMPLE_SIDE / max(height, width))
    shape = max(1, round(height * shrink)), max(1, round(width * shrink))
    return torch.from_numpy(profile.model_input(image, shape)).flatten(1).T
