"""Between the annotator, which knows no window, and the widgets, which know no engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_simmat.annotator import Annotator, Step, title_of
from napari_simmat.errors import PromptError, SimmatError
from napari_simmat.images import ModalityProfile, MultiChannelImage
from napari_simmat.images.profile_files import load_profile, save_profile
from napari_simmat.inference.regions import is_large
from napari_simmat.journal import Journal
from napari_simmat.plugin.advice import Advice
from napari_simmat.plugin.dropping import Drops
from napari_simmat.plugin.executor import Executor
from napari_simmat.plugin.geometry import to_pixels
from napari_simmat.plugin.hold import LONG_MS, SHORT_MS, Hold
from napari_simmat.plugin.hover import Hover
from napari_simmat.plugin.image_choice import ImageChoice
from napari_simmat.plugin.keys import CanvasKeys
from napari_simmat.plugin.mouse import CanvasMouse
from napari_simmat.plugin.neighbours import Neighbours
from napari_simmat.plugin.regions import Regions
from napari_simmat.plugin.rough_layers import rough_objects
from napari_simmat.plugin.stage import Stage

_SYNC_MS = 150
"""How long after an edit the labels are looked at: a brush stroke tells of itself many times."""

_TURN_MS, _MOST_TURNS = 20, 20
"""How often, and how many times, it is asked whether a draft is there."""

_PROMPT_MS, _FIRST_PROMPT_MS = 150, 500
"""How long the points of a prompt wait for the mask to be drawn with them, and for that of a draft."""


class Controller(QObject):
    """Drives one annotator from one napari window.

    Parameters
    ----------
    viewer : napari.Viewer
    journal : Journal, optional
        By default the user's own.
    parent : QObject, optional
    """

    said = Signal(str, bool)
    """One sentence for the user, and whether it is about a problem."""

    tools_changed = Signal()
    """The sign of the next click or the use of the mouse is another one."""

    prompt_shown = Signal()
    """Clicks and box are drawn as they are now: with their mask, unless that takes its time."""

    closed = Signal()
    """Everything stops; whoever listens to the window must leave it."""

    def __init__(self, viewer: Any, *, journal: Journal | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.executor = Executor(self)
        self.annotator = Annotator(
            journal=Journal() if journal is None else journal, auto_quick=True, executor=self.executor
        )
        self.annotator.asks_to_resume = True
        self.images = ImageChoice(viewer, self.executor, self)
        self.stage = Stage(viewer)
        self.regions = Regions(self)
        self.sign = 1
        self.chosen_object: Callable[[], int | None] = lambda: None
        """Gives the label of the object that is chosen in the panel."""
        self._is_closed = False
        self.advice = Advice(self)
        self._mouse = CanvasMouse(viewer, on_click=self._on_click, on_drag=self._on_drag, on_box=self._on_box)
        self.hover = Hover(viewer, self.annotator, self.images, self.stage, self._mouse, self)
        self._keys = CanvasKeys(viewer, self._actions(), self._wants_keys, self)
        self._neighbours = Neighbours(self.annotator, self.images, self.executor, self)
        self._drops = Drops(viewer, self.executor, self._on_problem, self)
        self._hold = Hold(self)
        self._prompt_later = QTimer(self)
        self._prompt_later.setSingleShot(True)
        self._prompt_later.timeout.connect(self._show_prompt)
        self._sync = QTimer(self)
        self._sync.setSingleShot(True)
        self._sync.setInterval(_SYNC_MS)
        self._sync.timeout.connect(self._sync_labels)
        self._connect()
        self.annotator.warm_up()

    # ------------------------------------------------------------------- tools

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    @property
    def mode(self) -> str:
        """What the left mouse button does: "points", "box" or "off"."""
        return self._mouse.mode

    def set_mode(self, mode: str) -> None:
        """Use the mouse for points, for a box, or leave it to napari."""
        self._mouse.set_mode(mode)
        self._keys.refresh()
        self.tools_changed.emit()

    def set_sign(self, sign: int) -> None:
        """What the next click means: 1 the object, 0 background."""
        self.sign = sign
        self.tools_changed.emit()

    def flip_sign(self) -> None:
        """The next click means the opposite."""
        self.set_sign(1 - self.sign)

    # ----------------------------------------------------------------- actions

    def accept(self) -> None:
        """Write the shown mask as an object."""

        def accept() -> None:
            self._show_objects()
            self.annotator.accept()

        self.attempt(accept)

    def reject(self) -> None:
        """Drop the mask and its clicks."""
        self.annotator.clear()

    def undo(self) -> bool:
        """Take back the last gesture, whatever it was; False if there is none, or it cannot be."""
        return self._go("undo")

    def redo(self) -> bool:
        """The opposite of `undo`."""
        return self._go("redo")

    def _go(self, kind: str) -> bool:
        gone: list[Step] = []

        def go() -> None:
            self._show_objects()
            step = self.annotator.undo() if kind == "undo" else self.annotator.redo()
            if step is None:
                self.said.emit(f"There is nothing to {kind}.", False)
                return
            gone.append(step)
            self.said.emit(f"{'Undone' if kind == 'undo' else 'Done again'}: {title_of(step)}.", False)

        return self.attempt(go) and bool(gone)

    def erase(self, label: int | None = None) -> None:
        """Erase an object, by default the one under the mouse."""
        found = self._label_at_cursor() if label is None else label

        def erase() -> None:
            self._show_objects()
            self.annotator.erase(found)

        if found:
            self.attempt(erase)
        else:
            self.said.emit("There is no object under the mouse.", False)

    def merge(self, into: int | None) -> None:
        """Make one object of this one and the one under the mouse."""
        found = self._label_at_cursor()
        if not found or into is None or found == into:
            self.said.emit("Choose an object in the list, then point at another one.", False)
            return

        def merge() -> None:
            self._show_objects()
            self.annotator.merge([into, found])

        if self.attempt(merge):
            self.said.emit(f"Object {found} is part of object {into} now.", False)

    def segment(self) -> None:
        """Ask the model again, encoding the image if that was cancelled."""
        self.attempt(self.annotator.ask_again)

    def cancel(self) -> None:
        """Stop what runs; if nothing does, drop the clicks."""
        running = self.executor.current
        if running is not None and running.kind == "attribution" and self.annotator.cancel_attribution():
            self.said.emit("Cancelled; nothing was changed.", False)
            return
        if running is not None and running.kind == "propose" and self.annotator.cancel_proposing():
            self.said.emit("Cancelled; nothing was changed.", False)
            return
        if self.annotator.training is not None:
            self.annotator.cancel_training()
        elif not self.annotator.cancel_encoding():
            self.annotator.clear()

    def train(self, mode: str, **settings: Any) -> None:
        """Learn from the corrections: "quick" or "deep"."""
        self.attempt(lambda: getattr(self.annotator, mode)(**settings))

    def adapt_from_rough(self, **how: Any) -> None:
        """Learn from what lies in the user's layers of points and shapes."""

        def adapt() -> None:
            layer, image = self.stage.image_layer, self.annotator.image
            if layer is None or image is None:
                raise PromptError("There is no image to learn from yet; open one first.")
            objects = rough_objects(self.viewer, layer, self.stage.origin, image.shape)
            self.annotator.adapt_from_rough(objects, **how)

        self.attempt(adapt)

    def attribute(self, label: int | None = None) -> None:
        """See which channels an object is found by, or all objects."""
        self.attempt(lambda: self.annotator.ask_attribution(label))

    def export(self, path: Path, format: str) -> None:
        """Write the objects of the image to a file."""

        def export() -> None:
            count = self.annotator.export(path, format)
            self.said.emit(f"{count} object{'s' if count != 1 else ''} written to {path.name}.", False)

        self.attempt(export)

    def load_adapter(self, path: Path) -> None:
        """Use an adapter file."""
        self.attempt(lambda: self.annotator.load_adapter(path))

    def save_adapter(self, path: Path) -> None:
        """Write the adapter in use to a file."""
        if self.attempt(lambda: self.annotator.save_adapter(path)):
            self.said.emit(f"Saved {path.name}.", False)

    def use_version(self, index: int) -> None:
        """Answer with another version of the adapter."""
        self.attempt(lambda: self.annotator.use_version(self.annotator.versions.all[index]))

    def leave_out(self, groups: list[str]) -> None:
        """Answer without some groups of channels."""
        self.attempt(lambda: self.annotator.leave_out(groups))

    def use_profile(self, profile: ModalityProfile) -> None:
        """See the channels in another way, with a new untrained version."""
        if self.attempt(lambda: self.annotator.use_profile(profile)):
            self.said.emit("A new, untrained version sees the image with this profile.", False)

    def use_transfer(self, mat: str) -> None:
        """Begin anew with another transfer layer, if it is another one."""
        if mat == self.annotator.transfer:
            return
        if self.attempt(lambda: self.annotator.use_transfer(mat)):
            self.said.emit(
                f"A new, untrained version sees the image through the transfer layer {mat}.", False
            )

    def load_profile(self, path: Path) -> None:
        """Use a profile file."""

        def load() -> None:
            self.annotator.use_profile(load_profile(path))
            self.said.emit(f"A new, untrained version sees the image with {path.name}.", False)

        self.attempt(load)

    def save_profile(self, profile: ModalityProfile, path: Path) -> None:
        """Write a profile to a file."""
        if self.attempt(lambda: save_profile(profile, path)):
            self.said.emit(f"Saved {path.name}.", False)

    def close(self) -> None:
        """Stop everything at its next step and leave the window as it was; does not wait."""
        if self._is_closed:
            return
        self._is_closed = True
        self.executor.stop()
        with (  # who listens may be gone
            self.annotator.objects_changed.blocked(),
            self.annotator.history_changed.blocked(),
            self.annotator.trouble_changed.blocked(),
        ):
            lost = self.annotator.close()
        for sentence in lost:
            show_warning(sentence)
        for leave in (
            self._sync.stop,
            self._prompt_later.stop,
            self._keys.close,
            self._drops.close,
            self._hold.close,
            self._neighbours.close,
            self.hover.close,
            self._mouse.close,
            self.images.close,
            self.advice.close,
            self.stage.close,
            lambda: self.closed.emit(),
        ):
            with suppress(RuntimeError):  # Qt has deleted its half already: napari is quitting
                leave()

    # ------------------------------------------------------------------ inside

    def _connect(self) -> None:
        self.images.opened.connect(self._on_opened)
        self.images.moved.connect(self._on_moved)
        self.images.problem.connect(self._on_problem)
        self.stage.edited.connect(self._on_edited)
        self.stage.gone.connect(self.annotator.let_go)
        annotator = self.annotator
        annotator.problem.connect(self._on_problem)
        annotator.opened.connect(self._on_ready)
        annotator.prompt_changed.connect(self._on_prompt)
        annotator.answered.connect(self._on_answer)

    def _actions(self) -> dict[str, Callable[[], object]]:
        names = ("flip_sign", "accept", "reject", "segment", "undo", "redo", "erase", "cancel")
        return {
            **{name: getattr(self, name) for name in names},
            "accept_proposal": self.advice.accept,
            "reject_proposal": self.advice.reject,
            "clear": self.reject,
            "merge": lambda: self.merge(self.chosen_object()),
            "next_candidate": self.annotator.cycle_candidate,
        }

    def enter(self, window: Any) -> None:
        """Make Tab and dropped files work on the canvas of this window."""
        self._keys.catch_tab(window)
        self._drops.catch(window)
        self._hold.enter(window)

    def _wants_keys(self) -> bool:
        return self._mouse.is_ours and self.images.layer is not None

    def _on_opened(self, layer: Any, image: MultiChannelImage | None) -> None:
        self.annotator.set_image(None)
        region = self.regions.region_of(layer)
        if layer is None:
            # The layer may be going at this very moment, and napari is not done with the others.
            QTimer.singleShot(0, self._leave_stage)
        elif region is not None and image is not None and is_large(image):
            self.regions.open(region)
        elif image is not None:
            self.stage.set_image_layer(layer, image.shape, index=self.images.index)
            if is_large(image):
                self.said.emit("Large image: click on an object to have the model look there.", False)
            else:
                self.annotator.set_image(image)
        self._keys.refresh()
        self.regions.go_on()

    def _leave_stage(self) -> None:
        if self.images.image is None and not self._is_closed:
            self.stage.set_image_layer(None)

    def _on_moved(self, is_here: bool) -> None:
        """A slider of a stack was moved: what belongs to the slice at hand is not over another one."""
        if is_here:
            self.annotator.come_back()
        else:
            self.annotator.leave()
        self.stage.show_slice(is_here)

    def _on_ready(self, restored: int) -> None:
        self.prepare(_MOST_TURNS)

    def prepare(self, patience: int = 0) -> None:
        """Make the layers for mask, objects and clicks, one in each turn of the event loop.

        A draft goes first, for so many turns at most: while napari makes a layer the model gets nowhere.
        """
        if self._is_closed or self.stage.image_layer is None:
            return
        if patience and self.annotator.is_drafting:
            QTimer.singleShot(_TURN_MS, lambda: self.prepare(patience - 1))
        elif self.stage.prepare_mask() or self._attach_objects() or self.stage.prepare_clicks():
            QTimer.singleShot(0, self.prepare)

    def _attach_objects(self) -> bool:
        """Have what is accepted written to the objects layer; False if it is, or if it is not known yet what there is."""
        book, layer = self.annotator.book, self.stage.objects
        if book is None or (layer is not None and book.target is layer):
            return False
        return self.attempt(self._show_objects)

    def _show_objects(self) -> None:
        """Make the objects layer if it is not there (any more), with all that was accepted."""
        book = self.annotator.book
        if book is not None:
            layer = self.stage.show_objects(self.annotator.labels)
            if book.target is not layer:
                self.annotator.attach(layer)
            self.stage.objects.editable = not self.annotator.refusal

    def _on_prompt(self, prompt: Any) -> None:
        """Draw the prompt with its mask, or without if that takes its time: drawing twice would keep the mask waiting."""
        if prompt.is_empty:
            self._show_prompt()
            return
        is_first = self.annotator.is_drafting
        self._hold.begin(LONG_MS if is_first else SHORT_MS)
        usual_ms = _FIRST_PROMPT_MS if is_first else _PROMPT_MS
        # Into a layer that is there while the model answers: it is seen when the window is drawn.
        self._prompt_later.start(0 if self.stage.has_clicks else usual_ms)

    def _show_prompt(self) -> None:
        self._prompt_later.stop()
        if self.stage.image_layer is not None:
            self.stage.show_prompt(self.annotator.prompt)
        self.prompt_shown.emit()

    def _on_answer(self, answer: Any) -> None:
        if self._prompt_later.isActive() and self.stage.has_clicks:
            self._show_prompt()
        if self.stage.image_layer is not None:
            self.stage.show_mask(None if answer is None else answer.mask)
        if self._prompt_later.isActive():  # the layer has to be made first, which the mask need not wait for
            QTimer.singleShot(0, self._show_prompt)
        self._hold.end()

    def _on_click(self, world: Any, is_opposite: bool) -> None:
        self.images.catch_up()
        if self.images.layer is None:
            self.said.emit("Open or choose an image first.", False)
            return
        label = 1 - self.sign if is_opposite else self.sign
        y, x = to_pixels(self.images.layer, world)
        self.regions.ask_at(y, x, lambda top, left: self.annotator.click(y - top, x - left, label))

    def _on_drag(self, start: Any, end: Any) -> None:
        if self.stage.image_layer is not None:
            self.stage.show_box((*self._to_pixels(start), *self._to_pixels(end)))

    def _on_box(self, corners: tuple[Any, Any] | None) -> None:
        layer = self.stage.image_layer
        if layer is None:
            return
        if corners is None:
            self.stage.show_box(self.annotator.prompt.box)
            return
        self.images.catch_up()
        (y0, x0), (y1, x1) = (to_pixels(layer, corner) for corner in corners)

        def ask(top: int, left: int) -> None:
            try:
                self.annotator.set_box(y0 - top, x0 - left, y1 - top, x1 - left)
            except SimmatError:
                self.stage.show_box(self.annotator.prompt.box)
                raise

        self.regions.ask_at((y0 + y1) / 2, (x0 + x1) / 2, ask)

    def _to_pixels(self, world: Any) -> tuple[float, float]:
        """Row and column in what is worked on: the image, or a region of it."""
        (y, x), (top, left) = to_pixels(self.stage.image_layer, world), self.stage.origin
        return y - top, x - left

    def _label_at_cursor(self) -> int:
        layer, book = self.stage.image_layer, self.annotator.book
        if layer is None or book is None:
            return 0
        y, x = (round(v) for v in self._to_pixels(self.viewer.cursor.position))
        height, width = book.known.shape
        return int(book.known[y, x]) if 0 <= y < height and 0 <= x < width else 0

    def _on_edited(self, is_whole: bool) -> None:
        self._sync.start(0 if is_whole else _SYNC_MS)

    def _sync_labels(self) -> None:
        if self.stage.is_drawing:  # half a stroke is no gesture
            self._sync.start(_SYNC_MS)
            return
        self.attempt(self.annotator.sync_labels)

    def _on_problem(self, sentence: str) -> None:
        self.said.emit(sentence, True)

    def attempt(self, action: Callable[[], object]) -> bool:
        """Do something; what goes wrong is said in one sentence. False if anything did."""
        try:
            action()
        except SimmatError as error:
            self.said.emit(str(error), True)
            return False
        return True
