"""Windows around the user's objects, at the scale at which they are clicked: what a training step looks at.

Shrinking whole images costs small objects a third of their IoU, and whole images at full size cost seven times the
time. A window of the encoder's frame has neither fault: TinyViT knows no absolute position, and the decoder is told
where in the frame the window lies. Objects too large for a window are shrunk until they fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_simmat.errors import TrainingError
from napari_simmat.images import ModalityProfile
from napari_simmat.inference import Frame
from napari_simmat.models.encoders import STRIDE
from napari_simmat.training.corrections import Correction
from napari_simmat.training.inputs import Inputs, mirrored, mirrored_labels

WINDOW = 448
"""Side of a window in frame pixels; divisible by 224, so that no attention window is padded."""

TOO_SMALL = (
    "No object is large enough to learn from: each covers less than one cell of the model's masks; "
    "correct larger objects, or cut the image into smaller ones."
)

_ROOM = 1.6  # an object's longer side may be the window's side divided by this
_MIN_AREA = 16  # smaller objects (in frame pixels) are less than one cell of the decoder's masks
_MIN_SHARE = 0.6  # an object cut by the window's border is learnt only if this share of it is inside


@dataclass(frozen=True, eq=False)
class Window:
    """What one step sees.

    Attributes
    ----------
    x : Tensor, (C, H, W)
        Model input.
    masks : ndarray of bool, (N, 16 h, 16 w)
        Objects in it, the one it was made for first; padded on the right and below to the cells of its embedding.
    offset : (int, int)
        Row and column of its first cell in the frame's embedding grid.
    """

    x: Tensor
    masks: NDArray[np.bool_]
    offset: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Object:
    scene: int
    label: int
    top: int
    left: int
    bottom: int
    right: int


class Scenes:
    """All images with corrections, ready to draw windows from.

    Parameters
    ----------
    groups : sequence of sequences of Correction
        The corrections of each image.
    profile : ModalityProfile
    side : int
        Side of the encoder's frame.
    window : int
        Side of a window, at most `side`.

    Raises
    ------
    TrainingError
        No object is large enough to learn from.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Correction]],
        profile: ModalityProfile,
        *,
        side: int,
        window: int = WINDOW,
    ) -> None:
        self._side = side
        self._window = min(window, side)
        self._inputs = Inputs([group[0].image for group in groups], profile, side=side)
        self._labels = [
            _frame_labels(group, frame) for group, frame in zip(groups, self._inputs.frames, strict=True)
        ]
        self.objects = [found for k, labels in enumerate(self._labels) for found in _objects(k, labels)]
        of_each = [[o for o in self.objects if o.scene == k] for k in range(len(self._labels))]
        self.of_scene = {k: objects for k, objects in enumerate(of_each) if objects}
        if not self.objects:
            raise TrainingError(TOO_SMALL)

    def __len__(self) -> int:
        return len(self.objects)

    def draw(self, rng: np.random.Generator, index: int) -> Window:
        """A window around an object, randomly placed, flipped and turned."""
        chosen = self.objects[index]
        size = max(chosen.bottom - chosen.top, chosen.right - chosen.left)
        shrink = min(1.0, self._window / (size * _ROOM))
        x, labels = self._inputs[chosen.scene], self._labels[chosen.scene]
        # Rows and columns of the window in the frame, and in the grid of the (shrunk) frame.
        reach = round(self._window / shrink)
        step = STRIDE / shrink
        row = _place(chosen.top, chosen.bottom, labels.shape[0], reach, step, rng)
        column = _place(chosen.left, chosen.right, labels.shape[1], reach, step, rng)
        rows = slice(round(row * step), round(row * step) + reach)
        columns = slice(round(column * step), round(column * step) + reach)
        x, labels = x[:, rows, columns].float(), labels[rows, columns]
        if shrink < 1:
            x, labels = _shrunk(x, labels, chosen.label, shrink)
        for axis, effect in self._inputs.mirrors(labels.shape, rng):
            x, labels = mirrored(x, axis, effect), mirrored_labels(labels, axis)
        return Window(x.contiguous(), self._objects_in(labels, chosen, shrink), (row, column))

    def whole(self, scene: int, rng: np.random.Generator) -> Window:
        """An image in the whole square frame, as it is, and one of its objects, any of them alike."""
        chosen = self.of_scene[scene][int(rng.integers(len(self.of_scene[scene])))]
        x, labels = self._inputs[scene], self._labels[scene]
        bottom, right = (self._side - n for n in labels.shape)
        mask = np.pad(labels == chosen.label, ((0, bottom), (0, right)))
        return Window(x.float(), mask[None], (0, 0))

    def _objects_in(self, labels: NDArray[np.int32], chosen: _Object, shrink: float) -> NDArray[np.bool_]:
        """The objects that the window shows well enough, padded as the encoder pads the picture."""
        height, width = labels.shape
        if self._window == self._side:
            bottom, right = self._side - height, self._side - width
        else:
            bottom, right = -height % STRIDE, -width % STRIDE
        labels = np.pad(labels, ((0, bottom), (0, right)))
        whole = {o.label: o for o in self.objects if o.scene == chosen.scene}
        areas = dict(zip(*np.unique(labels, return_counts=True), strict=True))
        others = [
            label
            for label, area in areas.items()
            if label in whole
            and label != chosen.label
            and area >= _MIN_AREA
            and area >= _MIN_SHARE * shrink**2 * self._area(whole[label])
        ]
        return np.stack([labels == label for label in (chosen.label, *others)])

    def _area(self, chosen: _Object) -> int:
        labels = self._labels[chosen.scene][chosen.top : chosen.bottom, chosen.left : chosen.right]
        return int((labels == chosen.label).sum())


def _frame_labels(group: Sequence[Correction], frame: Frame) -> NDArray[np.int32]:
    """Label image of an image's corrections in the encoder's frame; nearest pixel."""
    height, width = frame.shape
    (sy, sx), (rows, columns) = frame.scale, frame.image_shape
    y = np.minimum(((np.arange(height) + 0.5) / sy).astype(int), rows - 1)
    x = np.minimum(((np.arange(width) + 0.5) / sx).astype(int), columns - 1)
    labels = np.zeros(frame.image_shape, np.int32)
    for number, correction in enumerate(group, start=1):
        labels[correction.window][correction.crop] = number
    in_frame: NDArray[np.int32] = labels[y[:, None], x]
    return in_frame


def _objects(scene: int, labels: NDArray[np.int32]) -> list[_Object]:
    areas = np.bincount(labels.ravel())
    return [
        _Object(scene, label, rows.start, columns.start, rows.stop, columns.stop)
        for label, box in enumerate(ndimage.find_objects(labels), start=1)
        if box is not None and areas[label] >= _MIN_AREA
        for rows, columns in [box]
    ]


def _place(low: int, high: int, length: int, reach: int, step: float, rng: np.random.Generator) -> int:
    """First grid cell of a window of `reach` pixels that shows [low, high), randomly placed."""
    if length <= reach:
        return 0
    room = max(0.0, reach - (high - low))
    start = low - room / 2 + rng.uniform(-0.4, 0.4) * room  # rounding to the grid must not cut it
    return round(float(np.clip(start, 0, length - reach)) / step)


def _shrunk(
    x: Tensor, labels: NDArray[np.int32], chosen: int, shrink: float
) -> tuple[Tensor, NDArray[np.int32]]:
    """Picture and labels at a smaller scale; the chosen object stays visible, however thin it is."""
    height, width = (max(1, round(n * shrink)) for n in labels.shape)
    x = F.interpolate(x[None], (height, width), mode="bilinear", antialias=True, align_corners=False)[0]
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(int)
    small = labels[rows[:, None], columns]
    own = torch.from_numpy((labels == chosen)[None].astype(np.float32))
    touched = F.adaptive_max_pool2d(own, (height, width))[0].numpy() > 0
    if not (small == chosen).any() or touched.sum() > 2 * (small == chosen).sum():
        small = np.where(touched, chosen, small)
    return x, small


def learnable(correction: Correction, side: int) -> bool:
    """Whether an object is large enough in the encoder's frame to learn from."""
    sy, sx = Frame(correction.image.shape, side).scale
    return bool(np.count_nonzero(correction.crop) * sy * sx >= 1.25 * _MIN_AREA)
