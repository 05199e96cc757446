"""Reading the image of a layer: of a stack the slice that is shown, taken as the user decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_simmat.images import MultiChannelImage
from napari_simmat.images.axes import layout_of
from napari_simmat.inference.regions import is_large
from napari_simmat.plugin.pictures import layer_data
from napari_simmat.plugin.taken import Taken
from napari_simmat.plugin.thumbnails import Backdrop, backdrop

__all__ = ["Reading", "read_image", "read_slice"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What came of reading a layer.

    Attributes
    ----------
    image : MultiChannelImage
    taken : Taken or None
        How it was taken, where it can be taken otherwise.
    backdrop : Backdrop or None
        What thumbnails are drawn on; of a large image that is the region in use.
    stack_axes, index : tuple of int
        Axes of the layer over which there are several images, and where on them this one is.
    drawn : tuple, optional
        How it has to be shown, where the layer does not show it yet.
    is_upright : bool
        Whether rows and columns are what napari shows of the layer.
    """

    image: MultiChannelImage
    taken: Taken | None
    backdrop: Backdrop | None
    stack_axes: tuple[int, ...] = ()
    index: tuple[int, ...] = ()
    drawn: tuple[Any, dict[str, Any], str] | None = None
    is_upright: bool = True


def read_image(image: MultiChannelImage) -> Reading:
    """An image that is there already and cannot be taken otherwise."""
    return Reading(image, None, _behind(image))


def read_slice(
    taken: Taken,
    change: Callable[[], Taken] | None,
    *,
    position: tuple[int, ...],
    shape: tuple[int, ...],
    ours: bool,
) -> Reading:
    """The slice that is shown of a layer; the first one where the stack becomes another one.

    Parameters
    ----------
    taken : Taken
        As it is.
    change : callable, optional
        Gives how it is to be taken from now on.
    position, shape : tuple of int
        Where the sliders stand in pixels of the layer, and its size.
    ours : bool
        Whether the layer shows what this plugin made of it, so that it is drawn anew when that is something else.
    """
    wanted = taken if change is None else change()
    axes, upright = _stack_axes(wanted, shape, ours=ours)
    has_new_stack = change is not None and ours and wanted.stack != taken.stack
    if has_new_stack or not upright:
        index: tuple[int, ...] = (0,) * len(wanted.stack)
    else:
        index = tuple(position[axis] for axis in axes)
    found = wanted.image(index)
    drawn = None
    if (change is not None and ours) or not upright:
        drawn = layer_data(found if not any(index) else wanted.image(), wanted)
    return Reading(found, wanted, _behind(found), axes, index, drawn, upright)


def _stack_axes(taken: Taken, shape: tuple[int, ...], *, ours: bool) -> tuple[tuple[int, ...], bool]:
    """Which axes of a layer its slices lie along, and whether its last two are rows and columns."""
    if ours:
        return tuple(range(len(taken.stack))), True
    raw = taken.opened.raw
    layout = layout_of(raw, taken.opened.label, taken.channel_axis)
    is_upright = (layout.rows, layout.columns) == (len(shape) - 2, len(shape) - 1)
    return tuple(axis for _, axis in layout.stack), is_upright


def _behind(image: MultiChannelImage) -> Backdrop | None:
    return None if is_large(image) else backdrop(image)
