"""An image and an adapter: encodes once, answers prompts."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.errors import AdapterError, PromptError
from napari_simmat.images import ModalityProfile, MultiChannelImage, as_image
from napari_simmat.images.modality import COLOUR_MOMENTS
from napari_simmat.images.roles import COLOURS
from napari_simmat.inference.cache import EMBEDDINGS, EmbeddingKeys
from napari_simmat.inference.candidates import Candidates, arrange
from napari_simmat.inference.close_up import CloseUp, in_view, is_cut, look_ahead, look_closer, step_back
from napari_simmat.inference.compute import (
    autocast,
    describe_device,
    device_choice,
    first_that_fits,
)
from napari_simmat.inference.frame import LOW, Frame
from napari_simmat.inference.kept import kept_embeddings
from napari_simmat.inference.prompts import Prompt
from napari_simmat.inference.recorded_decoder import RecordedDecoder
from napari_simmat.inference.sight import Look, look_at, lookers
from napari_simmat.models import Adapter, BaseModel, load_base_model
from napari_simmat.models.decoder import Ground
from napari_simmat.models.experts import missing_in_words

DRAFT_SIDE = 448
"""Longest side of an image of which a draft is made; divisible by 224, so that no attention window is padded."""

SMALLER_SIDE = 672
"""Longest side of an image for which a GPU has too little memory at the encoder's own size; divisible by 224."""

SMALLER = (
    "The GPU has too little memory for this image at full size, so the model looks at it at "
    f"{SMALLER_SIDE} pixels, where small objects suffer; close other programs, or compute on the CPU."
)
NO_ROOM = "The GPU has no memory left for this image, so the model answers on the CPU; close other programs."

_SMALL = 64
"""Side of the picture that is looked at to get ready."""

_REMEMBERED = 24
"""Answers kept by a segmenter, 0.8 MB each: enough for the clicks on one object; more while it has more."""
_CLOSE_UPS = 4
"""Embeddings of close-ups kept by a segmenter, 16 MB each with what prompts need of them."""


def warm_up(device: str | None = None) -> None:
    """Look at small pictures, so that the first image need not wait for the model to be read and set up.

    On a GPU as often as it takes for the encoder to be recorded there, see `napari_simmat.inference.recorded`.
    """
    is_gpu = torch.device(device or device_choice()).type == "cuda"
    drafts = [True, False] if is_gpu else [True]
    if not load_base_model().sam.encoder.flexible:
        drafts = [False]
    for grey in range(3 if is_gpu else 1):
        picture = as_image(np.full((3, _SMALL, _SMALL), grey, np.uint8), channel_axis=0)
        for draft in drafts:
            Segmenter(picture, device=device, draft=draft).answer(Prompt().with_point(_SMALL / 2, _SMALL / 2))


def is_at_hand(
    image: MultiChannelImage,
    adapter: Adapter,
    *,
    model: BaseModel | None = None,
    device: str | None = None,
    in_memory: bool = True,
) -> bool:
    """Whether the embedding of an image is in memory (or not, if that does not count) or on disk.

    If so, a segmenter has nothing to encode.
    """
    base = load_base_model() if model is None else model
    where = torch.device(device or device_choice())
    kept = kept_embeddings()
    keys = [EmbeddingKeys.of(image, a, base, where, base.sam.side).embedding for a in lookers(adapter, image)]
    return all((in_memory and key in EMBEDDINGS) or (kept is not None and key in kept) for key in keys)


class Segmenter:
    """Segments objects of one image.

    Parameters
    ----------
    image : MultiChannelImage
    adapter : Adapter, optional
        By default the untrained one: SAM on the profile's pseudo-RGB.
    profile : ModalityProfile, optional
        Without an adapter: how the image becomes model input.
    model : BaseModel, optional
        By default the embedded one.
    device : str, optional
        "cuda", "mps" or "cpu"; by default the best one at hand.
    blank : collection of int
        Channels that the model is not to see, by their numbers from 0 among those that it sees. Each is replaced by its
        mean over the image, which is 0 where it is z-scored.
    keep : bool
        Keep the embedding on disk (`napari_simmat.inference.kept`), for whoever comes back to the image.
    draft : bool
        See the image at less than half the size, in a fifth of the time, to answer the first clicks until the segmenter
        that sees all of it is there. Encoders that take one size only cannot.
    may_shrink : bool
        Where a GPU has too little memory, see the image at `SMALLER_SIDE` there before the CPU is tried: quicker, for
        people who wait, and not to be compared with what was seen whole.

    Attributes
    ----------
    note : str
        What people are to be told, such as that a GPU had too little memory; often empty.

    Raises
    ------
    AdapterError
        If the adapter does not fit the image or the model, or does not have the channels to leave out.
    """

    def __init__(
        self,
        image: MultiChannelImage,
        *,
        adapter: Adapter | None = None,
        profile: ModalityProfile | None = None,
        model: BaseModel | None = None,
        device: str | None = None,
        blank: Collection[int] = (),
        keep: bool = False,
        draft: bool = False,
        may_shrink: bool = False,
    ) -> None:
        self.image = image
        base = load_base_model() if model is None else model
        if adapter is None:
            adapter = Adapter.untrained(image, profile=profile, base=base)
        adapter.fits(image)
        self.adapter = adapter
        self.blank = frozenset(blank)
        if not self.blank <= set(range(adapter.profile.n_channels)):
            raise AdapterError(
                f"Got {sorted(self.blank)} as channels to leave out, but the model sees "
                f"{adapter.profile.n_channels}; name them by their numbers from 0."
            )
        if draft and not base.sam.encoder.flexible:
            raise AdapterError(
                f"The encoder of {base.name} takes images of one size only, so it makes no drafts."
            )
        self.is_draft = draft
        side = DRAFT_SIDE if draft else base.sam.side
        self._looks_closer = base.sam.encoder.flexible and not draft
        self._base, self._is_awaited = base, may_shrink  # by people, who are about to click
        self._answers: OrderedDict[tuple[object, ...], Candidates] = OrderedDict()
        self._close_ups: OrderedDict[CloseUp, Ground] = OrderedDict()
        where = device or device_choice()
        ways = [(where, side, "")]
        if torch.device(where).type != "cpu":
            if may_shrink and base.sam.encoder.flexible and side > SMALLER_SIDE:
                ways.append((where, SMALLER_SIDE, SMALLER))
            ways.append(("cpu", side, NO_ROOM))
        _, way = first_that_fits([partial(self._settle, *each[:2], keep) for each in ways])
        self.note = ways[way][2] or missing_in_words(adapter, image)

    def _settle(self, device: str, side: int, keep: bool) -> None:
        """Bring the model to a device and have it see the image there, with a longest side of so many pixels."""
        self.device = torch.device(device)
        self.frame = Frame(self.image.shape, side)
        self._close_ups.clear()
        look = Look(self.image, self._base, self.device, self.frame, self.blank, keep, self.is_draft)
        self._sight = look_at(look, self.adapter)
        with torch.inference_mode():
            self._decoder = self._sight.decoder
            self._ground = self._decoder.ground(self._sight.embedding(), projects=True)
            if self._is_awaited and isinstance(self._decoder, RecordedDecoder):
                self._decoder.warm_up(self._ground)

    @property
    def weights(self) -> dict[str, float]:
        """What the gate gives each expert that sees the image, which sum to one; empty where there are no experts."""
        return self._sight.weights

    @property
    def device_name(self) -> str:
        """Device and precision in words."""
        return describe_device(self.device)

    def predict(
        self,
        points: Sequence[tuple[float, float]] = (),
        labels: Sequence[int] = (),
        *,
        box: tuple[float, float, float, float] | None = None,
        mask: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.bool_], float]:
        """The mask that the product shows for some prompts.

        Parameters
        ----------
        points : sequence of (y, x)
            In image pixels, in the order of the clicks; each corrects the mask of those before.
        labels : sequence of int
            One per point: 1 the object, 0 background. May be left out if all are 1.
        box : (y0, x0, y1, x1), optional
        mask : ndarray, (256, 256), optional
            Low-resolution logits to start from.

        Returns
        -------
        mask : ndarray of bool, (Y, X)
        score : float
            Predicted IoU, 0 to 1.

        Raises
        ------
        PromptError
            Nothing was shown, a point lies outside of the image, or labels are missing.
        """
        signs = tuple(labels) if len(labels) else (1,) * len(points)
        prompt = Prompt(points=tuple((float(y), float(x)) for y, x in points), labels=signs, mask=mask)
        if box is not None:
            prompt = prompt.with_box(*box)
        candidates = self.answer(prompt)
        return candidates.mask(), candidates.score

    def answer(self, prompt: Prompt) -> Candidates:
        """Three candidates for a prompt and which to show.

        Points are answered one after the other, each with the mask before it fed back, as a user sets them; answers
        on the way are remembered, so a further click costs one pass of the decoder. Corrections of small objects are
        answered on a close-up (`napari_simmat.inference.close_up`), whose embedding the first of them costs.

        Raises
        ------
        PromptError
            Nothing was shown, or something outside of the image.
        """
        self._check(prompt)
        previous: Candidates | None = None
        for step in prompt.steps():
            key = step.key()
            if key not in self._answers:
                decode = partial(self._decode, step, previous)
                on_cpu = partial(self._on_cpu, decode)
                ways = (decode,) if self.device.type == "cpu" else (decode, on_cpu)
                self._answers[key], way = first_that_fits(ways)
                self.note = NO_ROOM if way else self.note
            self._answers.move_to_end(key)
            previous = self._answers[key]
        while len(self._answers) > max(_REMEMBERED, 2 * len(prompt.points)):
            self._answers.popitem(last=False)
        assert previous is not None
        if prompt.candidate is not None:
            previous = dataclasses.replace(previous, shown=prompt.candidate)
        return previous

    def _on_cpu(self, decode: Callable[[], Candidates]) -> Candidates:
        self._settle("cpu", self.frame.side, keep=False)
        return decode()

    def look_ahead(self, prompt: Prompt) -> None:
        """Encode the close-up that a correction of this answer most likely needs, so that the click itself is quick.

        It changes no answer. A correction far from the answer needs another close-up, one of a large object none.

        Raises
        ------
        PromptError
            As `answer`.
        """
        found = self.answer(prompt)
        if self._looks_closer:
            self._ground_of(look_ahead(found.logits[found.shown], found.frame, prompt.points, prompt.box))

    def _check(self, prompt: Prompt) -> None:
        if prompt.is_empty:
            raise PromptError("Nothing was shown to segment; click on an object or drag a box around one.")
        height, width = self.image.shape
        for y, x in prompt.points:
            if not self.frame.contains(y, x):
                raise PromptError(
                    f"The click at y = {y:g}, x = {x:g} is outside of the image of {height} x {width} pixels; "
                    "click on the image."
                )
        if prompt.box is not None:
            y0, x0, y1, x1 = prompt.box
            if (
                not np.isfinite(prompt.box).all()
                or y1 < -0.5
                or x1 < -0.5
                or y0 > height - 0.5
                or x0 > width - 0.5
            ):
                raise PromptError(
                    f"The box from y = {y0:g}, x = {x0:g} to y = {y1:g}, x = {x1:g} does not touch the image of "
                    f"{height} x {width} pixels; drag it on the image."
                )
        low = self.frame.side // LOW
        if prompt.mask is not None and np.shape(prompt.mask) != (low, low):
            raise PromptError(
                f"The mask to start from has shape {np.shape(prompt.mask)}, expected ({low}, {low}); give "
                "the logits of an answer in the whole frame, or leave it out."
            )

    def model_view(self) -> NDArray[np.uint8]:
        """What the encoder sees after the transfer layer, as a picture.

        Returns
        -------
        ndarray, (h, w, 3), uint8
            The three output channels of the MAT with SAM's normalisation undone, at the size of the image in the
            encoder's frame; values that no picture has are clipped.
        """
        with torch.inference_mode():
            rgb = self._sight.picture()[0].float().cpu()
        if len(rgb) != 3:
            raise AdapterError(
                f"The transfer layer {self.adapter.card.mat!r} makes no picture of three channels; "
                "look at single channels instead."
            )
        moments = torch.tensor([COLOUR_MOMENTS[colour] for colour in COLOURS])
        picture = rgb * moments[:, 1, None, None] + moments[:, 0, None, None]
        return np.asarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous())

    @property
    def embedding(self) -> Tensor:
        """What the encoder made of the image, (1, 256, h, w) for the whole frame; not to be written to."""
        return self._ground.embedding

    def picture(self) -> Tensor:
        """What the transfer layer makes of the image, (1, c, h, w) in the frame; made anew each time."""
        with torch.inference_mode():
            return self._sight.picture()

    def channels(self) -> NDArray[np.float32]:
        """What the model sees of the image before any layer, (C, h, w) in the frame; made anew each time."""
        return self._sight.channels()

    def decode_many(self, prompts: Sequence[Prompt]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """SAM's four answers to each of B prompts, in one step and on the whole frame, for whoever asks hundreds.

        All points of a prompt are shown at once, and the last bits are others than those of `answer`: what is kept of
        it is to be answered by that.

        Parameters
        ----------
        prompts : sequence of Prompt
            All with as many points, and all with a box or none.

        Returns
        -------
        logits : ndarray, (B, 4, h, w)
            The single mask first, as `napari_simmat.inference.candidates.arrange` takes them.
        scores : ndarray, (B, 4)
        """
        points = [[self.frame.to_frame(y, x) for y, x in prompt.points] for prompt in prompts]
        boxes = [self._corners(prompt.box, self.frame) for prompt in prompts if prompt.box is not None]
        with torch.inference_mode():
            logits, scores = self._decoder.answer(
                self._ground,
                points=self._tensor(points) if points[0] else None,
                labels=self._tensor([prompt.labels for prompt in prompts]) if points[0] else None,
                boxes=self._tensor(boxes) if boxes else None,
            )
        return logits.cpu().numpy(), scores.cpu().numpy()

    def _ground_of(self, view: Frame) -> Ground:
        if not isinstance(view, CloseUp):
            return self._ground
        if view not in self._close_ups:
            with torch.inference_mode(), autocast(self.device):
                self._close_ups[view] = self._decoder.ground(self._sight.close_up(view))
        self._close_ups.move_to_end(view)
        while len(self._close_ups) > _CLOSE_UPS:
            self._close_ups.popitem(last=False)
        return self._close_ups[view]

    def _decode(self, prompt: Prompt, previous: Candidates | None) -> Candidates:
        if previous is None:
            feedback = None if prompt.mask is None else self._tensor(prompt.mask)[None, None]
            return self._decode_in(self.frame, prompt, feedback)
        chosen = previous.shown if prompt.choices[-1] is None else prompt.choices[-1]
        before = previous.logits[chosen]
        view = previous.frame
        if self._looks_closer:
            view = look_closer(before, view, prompt.points, prompt.box)
        while True:
            found = self._decode_in(view, prompt, in_view(before, previous.frame, view))
            if not isinstance(view, CloseUp) or not any(is_cut(each, view) for each in found.logits):
                return found
            view = step_back(view)

    def _decode_in(self, view: Frame, prompt: Prompt, feedback: Tensor | None) -> Candidates:
        points = [view.to_frame(y, x) for y, x in prompt.points]
        with torch.inference_mode():
            logits, scores = self._decoder.answer(
                self._ground_of(view),
                points=self._tensor([points]) if points else None,
                labels=self._tensor([prompt.labels]) if points else None,
                boxes=None if prompt.box is None else self._tensor([self._corners(prompt.box, view)]),
                masks=None if feedback is None else feedback.to(self.device, torch.float32),
            )
        return arrange(logits[0].cpu().numpy(), scores[0].cpu().numpy(), view)

    def _corners(self, box: tuple[float, float, float, float], view: Frame) -> list[float]:
        height, width = self.image.shape
        y0, x0, y1, x1 = box
        top_left = view.to_frame(max(y0, -0.5), max(x0, -0.5))
        bottom_right = view.to_frame(min(y1, height - 0.5), min(x1, width - 0.5))
        return [*top_left, *bottom_right]

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, np.float32), device=self.device)
