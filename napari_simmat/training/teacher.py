"""SAM on the colours of an image, as a teacher for the channels beside them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_simmat.errors import TrainingError
from napari_simmat.images import ModalityProfile, MultiChannelImage, profile_for
from napari_simmat.images.roles import COLOURS
from napari_simmat.inference import Frame, autocast, device_choice
from napari_simmat.models import AdaptedSam, Adapter, BaseModel, load_base_model
from napari_simmat.models.encoders import STRIDE


def colour_profile(image: MultiChannelImage) -> ModalityProfile:
    """A profile with the channels of the image that sees red, green and blue alone.

    Raises
    ------
    TrainingError
        The image does not have them, or nothing beside them.
    """
    roles = image.roles
    if not set(COLOURS) <= set(roles) or len(roles) < 4:
        raise TrainingError(
            f"{image.name!r} has {', '.join(role or 'a channel without a role' for role in roles)}, expected red, green "
            "and blue and at least one other channel; alignment needs both."
        )
    whole = profile_for(image, "rgb+x")
    assert whole.pseudo_rgb is not None
    sees = tuple(whole.sees[k] for k in whole.pseudo_rgb)
    return whole.model_copy(update={"modality": "rgb", "sees": sees, "pseudo_rgb": (0, 1, 2)})


def colours_seen(profile: ModalityProfile) -> list[int]:
    """Numbers of the model's channels that come from red, green or blue.

    Raises
    ------
    TrainingError
        There are no others.
    """
    colours = {i for i, role in enumerate(profile.roles) if role in COLOURS}
    found = [k for k, seen in enumerate(profile.sees) if colours & set(seen.of)]
    if len(found) == profile.n_channels:
        raise TrainingError(
            "The profile sees nothing beside red, green and blue, so there is nothing to align with them; choose "
            "another one."
        )
    return found


def without(x: Tensor, channels: list[int]) -> Tensor:
    """Model input (..., C, H, W) in which these channels are their mean everywhere."""
    x = x.clone()
    x[..., channels, :, :] = 0.0  # z-scored
    return x


def teacher_of(base: BaseModel) -> AdaptedSam:
    """Frozen SAM behind no transfer layer: it takes red, green and blue as they are."""
    return AdaptedSam(nn.Identity(), base.sam)


def unexplained(student: Tensor, teacher: Tensor) -> Tensor:
    """Distance of embeddings (1, 256, h, w): the share of the teacher's variance that the student does not explain.

    |s - t|^2 / |t - mean t|^2 with the mean over positions: 0 where they are equal, 1 where the student is no better than
    that mean, above where it is worse. A scalar.
    """
    spread = (teacher - teacher.mean((2, 3), keepdim=True)).square().sum()
    return (student - teacher).square().sum() / spread.clamp_min(1e-6)


@torch.no_grad()
def distance(
    adapter: Adapter, image: MultiChannelImage, *, base: BaseModel | None = None, device: str | None = None
) -> float:
    """How far what an adapter sees without the colours is from what SAM sees in them: see `unexplained`.

    Parameters
    ----------
    adapter : Adapter
    image : MultiChannelImage
        With red, green and blue.
    base, device : optional
        As for `quick`.

    Raises
    ------
    TrainingError
        The image does not have them, or nothing beside them.
    AdapterError
        The adapter does not fit the image.
    """
    where = torch.device(device or device_choice())
    base = (load_base_model() if base is None else base).on(where)
    shape = Frame(image.shape, base.sam.side).shape
    x = torch.from_numpy(adapter.profile.model_input(image, shape)).to(where)
    rgb = torch.from_numpy(colour_profile(image).model_input(image, shape)).to(where)
    model = adapter.build_merged(base)
    with autocast(where):
        student = model.encode(without(x[None], colours_seen(adapter.profile))).float()
        teacher = teacher_of(base).encode(rgb[None]).float()
    height, width = (-(-n // STRIDE) for n in shape)
    return float(unexplained(student[:, :, :height, :width], teacher[:, :, :height, :width]))
