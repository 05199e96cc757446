"""How an image becomes model input: a profile, which is data, and the built-in ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from napari_simmat.errors import AdapterError
from napari_simmat.images.camera import Camera
from napari_simmat.images.groups import GROUP_NAME, groups_of
from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.physics.derived import FORMULAS, Mirror
from napari_simmat.images.roles import GRAVITY
from napari_simmat.images.scaling import scale_of, write_scaled
from napari_simmat.images.side_by_side import each_at_once

__all__ = ["ModalityProfile", "ModelChannel", "Normalisation"]

# Mean and standard deviation of ImageNet, which SAM subtracts and divides by.
COLOUR_MOMENTS = {"red": (0.485, 0.229), "green": (0.456, 0.224), "blue": (0.406, 0.225)}
OTHER_MOMENTS = (0.449, 0.226)  # their means, for a channel of fixed range that is no colour


class Normalisation(BaseModel):
    """How the values of one channel become numbers between 0 and 1.

    Values outside of the two limits are clipped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["percentile", "range"] = Field(
        description="'percentile': the limits are percentiles of the image at hand, which makes images of "
        "different exposure alike; 'range': the limits are values, which keeps absolute differences between "
        "images."
    )
    low: float = Field(description="What becomes 0: a percentile in % or a value in the unit of the channel.")
    high: float = Field(
        description="What becomes 1: a percentile in % or a value in the unit of the channel."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Normalisation:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        if self.method == "percentile" and not (self.low >= 0 and self.high <= 100):
            raise ValueError(f"percentiles {self.low:g} and {self.high:g} must lie between 0 and 100")
        return self


_SMALL = 1 << 20
"""So many numbers are written in a few milliseconds."""


class ModelChannel(BaseModel):
    """One channel of what the model sees: a channel of the image, or one computed from several."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="What people call it.")
    formula: str = Field(
        default="value",
        description="How it is computed, a name of the list of derived channels such as 'dolp'; "
        "'value': the channel of the image itself.",
    )
    of: tuple[int, ...] = Field(
        min_length=1, description="The channels of the image that the formula takes, by their numbers from 0."
    )
    parameters: dict[str, float] = Field(
        default={}, description="Numbers that the formula needs, such as a focal length in pixels."
    )
    normalisation: Normalisation = Field(description="How its values become numbers between 0 and 1.")
    group: str = Field(
        default="",
        pattern=f"^{GROUP_NAME}$",
        max_length=40,
        description="Group of channels that are there or missing together, such as 'thermal'; none: by what it measures.",
    )

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a group of its own it is written as ever: what is kept under a hash of it is found again."""
        written: dict[str, Any] = write(self)
        if not self.group:
            written.pop("group", None)
        return written

    @model_validator(mode="after")
    def _computable(self) -> ModelChannel:
        formula = FORMULAS.get(self.formula)
        if formula is None:
            raise ValueError(f"there is no formula {self.formula!r}; choose one of {', '.join(FORMULAS)}")
        if len(self.of) != len(formula.inputs):
            raise ValueError(
                f"the formula {self.formula!r} takes {len(formula.inputs)} channels "
                f"({', '.join(formula.inputs)}), got {len(self.of)}"
            )
        unknown = sorted(self.parameters.keys() - formula.parameters.keys())
        if unknown:
            known = ", ".join(formula.parameters) or "none"
            raise ValueError(f"the formula {self.formula!r} has no parameter {unknown[0]!r}; it has {known}")
        how = self.normalisation
        if formula.is_signed and (how.method != "range" or how.low != -how.high):
            raise ValueError(
                f"{self.name!r} changes its sign in a mirror, so its range must be symmetric, "
                f"such as -{abs(how.high):g} to {abs(how.high):g}"
            )
        return self

    def compute(self, planes: Sequence[NDArray[Any]], camera: Camera | None = None) -> NDArray[Any]:
        """Its values (Y, X) from the planes of the image that `of` names; NaN where nothing was measured."""
        return FORMULAS[self.formula](planes, self.parameters, camera)


class ModalityProfile(BaseModel):
    """How an image of one kind becomes what the model sees.

    A profile travels inside an adapter, so that a later image is treated as the images were on which it was
    trained. It reads and writes JSON with `model_validate_json` and `model_dump_json`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    modality: str = Field(description="Name of the modality, such as 'rgb+x'.")
    channels: tuple[str, ...] = Field(min_length=1, description="Names of the image's channels, in order.")
    roles: tuple[str, ...] = Field(
        description="What each channel of the image measures ('red', 'nir', 'depth', ...) or ''."
    )
    units: tuple[str, ...] = Field(
        default=(),
        description="Unit of each channel of the image; where one matters to what the model sees, an image in another "
        "unit is refused. None: not known.",
    )
    sees: tuple[ModelChannel, ...] = Field(min_length=1, description="What the model sees, in order.")
    pseudo_rgb: tuple[int, int, int] | None = Field(
        default=None,
        description="Which of the channels that the model sees stand for red, green and blue in the untrained "
        "model, by their numbers from 0; none: principal components.",
    )
    display: tuple[int, ...] | str = Field(
        description="What is shown on screen at first: one or three channels of the image by their numbers from 0, "
        "or the name of a preset."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, data: Any) -> Any:
        """Take a profile of the first release, in which the model saw the image's channels alone."""
        if not isinstance(data, dict) or "normalisation" not in data or "sees" in data:
            return data
        data = dict(data)
        rules, names = data.pop("normalisation"), tuple(data.get("channels", ()))
        if len(rules) != len(names):
            raise ValueError(f"normalisation has {len(rules)} entries for {len(names)} channels")
        data["sees"] = tuple(
            {"name": name, "of": (i,), "normalisation": rule}
            for i, (name, rule) in enumerate(zip(names, rules, strict=True))
        )
        return data

    @model_validator(mode="after")
    def _consistent(self) -> ModalityProfile:
        count = len(self.channels)
        if len(self.roles) != count:
            raise ValueError(f"roles has {len(self.roles)} entries for {count} channels")
        if len(self.units) not in (0, count):
            raise ValueError(f"units has {len(self.units)} entries for {count} channels")
        shown = () if isinstance(self.display, str) else self.display
        if not isinstance(self.display, str) and len(shown) not in (1, 3):
            raise ValueError(f"display names {len(shown)} channels, expected 1 or 3")
        for index in (*shown, *(i for seen in self.sees for i in seen.of)):
            if not 0 <= index < count:
                raise ValueError(f"channel index {index} is outside of the {count} channels")
        for index in self.pseudo_rgb or ():
            if not 0 <= index < len(self.sees):
                raise ValueError(
                    f"channel index {index} is outside of the {len(self.sees)} that the model sees"
                )
        return self

    @property
    def n_channels(self) -> int:
        """Number of channels that the model sees."""
        return len(self.sees)

    @property
    def knows_camera(self) -> bool:
        """Whether it says itself what camera an image was taken with, in pixels of the whole image."""
        return any(seen.parameters.get("focal_length_px", 0.0) > 0 for seen in self.sees)

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """The groups of channels that are there or missing together: what each holds of what the model sees."""
        return groups_of(self)

    def has_channels_of(self, image: MultiChannelImage) -> bool:
        """Whether an image has the channels of this profile, by number and name."""
        names = tuple(channel.name for channel in image.channels)
        return len(names) == len(self.channels) and all(map(_same_name, self.channels, names))

    def check(self, image: MultiChannelImage) -> None:
        """Refuse an image that does not have the channels of this profile.

        Names count only where both sides have a real one: "channel 0", "channel 1", ... fit any.

        Raises
        ------
        AdapterError
            With both lists of channels.
        """
        if not self.has_channels_of(image):
            names = tuple(channel.name for channel in image.channels)
            raise AdapterError(
                f"The model was made for {describe_channels(self.channels)}, but {image.name!r} has "
                f"{describe_channels(names)}; choose an adapter for these channels or start a new one."
            )
        for seen in self.sees:
            for i in seen.of:
                self._check_meaning(seen, i, image)

    def _check_meaning(self, seen: ModelChannel, i: int, image: MultiChannelImage) -> None:
        """Refuse numbers of another meaning where that matters: in a formula, or in a range in some unit."""
        channel = image.channels[i]
        derived = seen.formula != "value"
        unit = self.units[i] if self.units else ""
        if unit and channel.unit != unit and (derived or seen.normalisation.method == "range"):
            found = f"in {channel.unit}" if channel.unit else "without a unit"
            raise AdapterError(
                f"The model was made for {self.channels[i]} in {unit}, but {image.name!r} has it {found}; "
                "choose the sample format that its numbers are stored in, or another adapter."
            )
        if derived and self.roles[i] and channel.role != self.roles[i]:
            raise AdapterError(
                f"The model computes {seen.name} of {self.roles[i]}, but {channel.name!r} of {image.name!r} is "
                f"{channel.role or 'of unknown meaning'}; choose the sample format that its numbers are stored in, or "
                "another adapter."
            )

    def planes(self, image: MultiChannelImage) -> Iterator[NDArray[Any]]:
        """The channels that the model sees, (Y, X) each, computed but not yet normalised.

        Raises
        ------
        AdapterError
            If the image does not have the channels of this profile.
        """
        return (compute() for compute in self._to_compute(image))

    def _to_compute(self, image: MultiChannelImage) -> Iterator[Callable[[], NDArray[Any]]]:
        """What computes each of the `planes`, one by one, so that few of the image's channels are in memory."""
        self.check(image)
        if [seen.of for seen in self.sees] == [(i,) for i in range(image.n_channels)]:
            for seen, plane in zip(self.sees, image.planes(), strict=True):
                yield partial(seen.compute, [plane], image.camera)
            return
        kept: dict[int, NDArray[Any]] = {}
        for k, seen in enumerate(self.sees):
            for i in seen.of:
                if i not in kept:
                    kept[i] = image.plane(i)
            yield partial(seen.compute, [kept[i] for i in seen.of], image.camera)
            later = {i for other in self.sees[k + 1 :] for i in other.of}
            kept = {i: plane for i, plane in kept.items() if i in later}

    def model_input(
        self, image: MultiChannelImage, shape: tuple[int, int] | None = None
    ) -> NDArray[np.float32]:
        """What the model sees of an image.

        Each channel of `sees`: its formula is computed at the image's own size; values become u in [0, 1] by
        its `Normalisation`; the channel is resized over what was measured; and z = (u - m) / s. A red, green or
        blue channel of fixed range takes SAM's own m and s, so that an 8-bit colour picture becomes exactly SAM's
        input; one that changes its sign in a mirror m = 0.5 and s = 0.226; any other channel of fixed range 0.449
        and 0.226; a percentile channel the mean and standard deviation of its own u, the latter at least 0.02. All
        limits and moments come from the whole image at its own size, so they do not depend on `shape`. Clipping
        goes before resizing, so that a hot pixel does not bleed into its surroundings. A pixel of the result of
        which less than half was measured (NaN, infinite) becomes the channel's median.

        Parameters
        ----------
        image : MultiChannelImage
            Must pass `check`.
        shape : tuple of int, optional
            Rows and columns of the result, by antialiased bilinear interpolation; the image's own where not
            given.

        Returns
        -------
        ndarray, shape (C, Y, X), float32
            Finite; C is the number of channels that the model sees. A constant percentile channel is zero.

        Raises
        ------
        AdapterError
            If the image does not have the channels of this profile.
        """
        target = image.shape if shape is None else shape
        out = np.empty((self.n_channels, *target), np.float32)
        tasks = (
            partial(self._write, image, seen, compute, result)
            for compute, seen, result in zip(self._to_compute(image), self.sees, out, strict=True)
        )
        if max(out.size, image.shape[0] * image.shape[1] * image.n_channels) <= _SMALL:
            for task in tasks:  # quicker than threads that wait for each other
                task()
        else:
            each_at_once(tasks)
        return out

    def _write(
        self,
        image: MultiChannelImage,
        seen: ModelChannel,
        compute: Callable[[], NDArray[Any]],
        out: NDArray[np.float32],
    ) -> None:
        """Write what the model sees of a channel; the scale of an image's channel is found once."""
        plane = compute()
        role = self.roles[seen.of[0]] if seen.formula == "value" else ""
        moments = COLOUR_MOMENTS.get(role, OTHER_MOMENTS)
        if self._is_signed(seen):
            moments = (0.5, moments[1])  # so that the mirrored value is minus the value
        how = seen.normalisation
        key = (seen.formula, seen.of, how, moments)
        if key not in image.remembered:
            image.remembered[key] = scale_of(plane, how.low, how.high, moments, fixed=how.method == "range")
        write_scaled(plane, image.remembered[key], out)

    def mirrored(self, axis: Mirror) -> tuple[list[int], list[float]] | None:
        """What a mirror image does to the channels beside moving their pixels.

        Parameters
        ----------
        axis : {"rows", "columns", "both"}
            Up and down exchanged, left and right exchanged, or rows exchanged with columns.

        Returns
        -------
        order : list of int
            Which channel takes the place of each one.
        signs : list of float
            What each is multiplied by, then.
        None
            If the mirrored scene would show another physics, such as gravity that points upwards.
        """
        order, signs = [], []
        for i, seen in enumerate(self.sees):
            effect = self._effect(seen, axis)
            if effect is None:
                return None
            formula, sign = effect
            if formula == seen.formula:
                place = i
            else:
                like = (formula, seen.of, seen.parameters, seen.normalisation)
                found = [
                    j
                    for j, other in enumerate(self.sees)
                    if (other.formula, other.of, other.parameters, other.normalisation) == like
                ]
                if not found:
                    return None
                place = found[0]
            order.append(place)
            signs.append(sign)
        return order, signs

    def _effect(self, seen: ModelChannel, axis: Mirror) -> tuple[str, float] | None:
        """The formula of the channel that takes this one's place in a mirror, and its sign."""
        if seen.formula == "value" and self.roles[seen.of[0]] in GRAVITY and axis != "columns":
            return None
        turned = self.roles[seen.of[0]] == ("s1" if axis == "both" else "s2")
        if seen.formula == "value" and turned:  # a Stokes parameter as it is changes its sign, too
            return ("value", -1.0) if self._is_signed(seen) else None
        return FORMULAS[seen.formula].mirrors[axis]

    def _is_signed(self, seen: ModelChannel) -> bool:
        """Whether a mirror can change its sign, which needs a range around zero."""
        how = seen.normalisation
        stokes = seen.formula == "value" and self.roles[seen.of[0]] in ("s1", "s2")
        return FORMULAS[seen.formula].is_signed or (stokes and how.method == "range" and how.low == -how.high)


def _same_name(left: str, right: str) -> bool:
    generic = re.compile(r"channel \d+")
    return left.casefold() == right.casefold() or any(generic.fullmatch(name) for name in (left, right))


def describe_channels(names: Sequence[str]) -> str:
    """A list of channels in words, shortened in the middle where it is long.

    >>> describe_channels(["red", "nir"])
    '2 channels (red, nir)'
    """
    listed = list(names) if len(names) <= 8 else [*names[:4], "...", *names[-2:]]
    return f"{len(names)} channel{'s' if len(names) != 1 else ''} ({', '.join(listed)})"
