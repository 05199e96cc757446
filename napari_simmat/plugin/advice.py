"""Which proposal is looked at, from which score they are shown, and what the keys do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_simmat.inference.proposing import Proposal
from napari_simmat.plugin.ghosts import Ghosts
from napari_simmat.plugin.places import Places

if TYPE_CHECKING:
    from napari_simmat.plugin.controller import Controller

_NONE = "There is no proposal; press Propose or Everything first."


class Advice(QObject):
    """Between the annotator's proposals and what the window shows of them.

    Parameters
    ----------
    controller : Controller
    """

    changed = Signal()
    """Other proposals are shown, another one is chosen, or something about doubts is another."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller = controller
        self._annotator = controller.annotator
        self.ghosts = Ghosts(controller.viewer, controller.stage)
        self.threshold = 0.0
        self._chosen: Proposal | None = None
        self._proposed: Any = None
        self._places = Places(controller.viewer, controller.images)
        self._annotator.proposals_changed.connect(self._take)
        self._annotator.reviewed.connect(self._show_review)
        self._annotator.image_changed.connect(self._leave)

    @property
    def shown(self) -> list[Proposal]:
        """The proposals of at least the threshold, the surest first."""
        return [each for each in self._annotator.proposals if each.score >= self.threshold]

    @property
    def chosen(self) -> Proposal | None:
        """The one that the keys mean: the one chosen, else the surest."""
        shown = self.shown
        if self._chosen is not None and any(each is self._chosen for each in shown):
            return self._chosen
        return shown[0] if shown else None

    def choose(self, proposal: Proposal | None) -> None:
        """Look at another one, and bring it into sight."""
        self._chosen = proposal
        if proposal is not None:
            self.look_at(*proposal.point)
        self._draw()

    def set_threshold(self, score: float) -> None:
        """Show proposals from this score on."""
        self.threshold = score
        self._draw()

    def propose(self) -> None:
        """Learn from the accepted objects and propose others."""
        self._controller.attempt(self._annotator.propose)

    def everything(self) -> None:
        """Propose whatever looks like an object."""
        self._controller.attempt(self._annotator.propose_everything)

    def accept(self) -> None:
        """Make an object of the proposal under the mouse, else of the chosen one."""
        self._do("accept", self._under_mouse() or self.chosen)

    def reject(self) -> None:
        """Say that the proposal under the mouse, else the chosen one, is none."""
        self._do("reject", self._under_mouse() or self.chosen)

    def accept_chosen(self) -> None:
        """Make an object of the chosen one."""
        self._do("accept", self.chosen)

    def reject_chosen(self) -> None:
        """Say that the chosen one is none."""
        self._do("reject", self.chosen)

    def accept_all(self) -> None:
        """Make objects of all that are shown."""
        shown = self.shown
        if not shown:
            self._controller.said.emit(_NONE, False)
            return
        self._controller.attempt(self._prepared(lambda: self._annotator.accept_proposals(shown)))

    def drop(self) -> None:
        """Propose nothing any more."""
        self._annotator.drop_proposals()

    def set_complete(self, value: bool) -> None:
        """Say whether all objects of the image are accepted."""
        self._controller.attempt(lambda: self._annotator.set_complete(value))

    def review(self) -> None:
        """Look for uncertain objects."""
        self._controller.attempt(self._annotator.ask_review)

    def rank_images(self) -> None:
        """Look which images are uncertain."""
        self._controller.attempt(self._annotator.rank_images)

    def go_to_image(self, identity: str) -> None:
        """Go on with another image of this session."""
        place = self._places.go_to(identity)
        if place is None:
            self._controller.said.emit("The layer of that image is not there any more; open it again.", True)
        elif place.region is not None:
            self._controller.regions.go_to(place.layer(), place.region)

    def look_at_object(self, label: int) -> None:
        """Bring an object into sight and select its label."""
        note = self._annotator.objects.get(label)
        if note is None:
            return
        rows, columns = note.window
        self.look_at((rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2)
        if self._controller.stage.objects is not None:
            self._controller.stage.objects.selected_label = label

    def look_at(self, y: float, x: float) -> None:
        """Move the view until a pixel of what is worked on is in its middle."""
        layer = self._controller.stage.image_layer
        if layer is None:
            return
        top, left = self._controller.stage.origin
        place = (*(0,) * (layer.ndim - 2), y + top, x + left)
        world = layer.data_to_world(place)[-2:]
        camera = self._controller.viewer.scene.camera
        camera.center = (*camera.center[:-2], float(world[0]), float(world[1]))

    def close(self) -> None:
        """Take what is drawn away."""
        self.ghosts.close()

    # ------------------------------------------------------------------ inside

    def _do(self, what: str, proposal: Proposal | None) -> None:
        if proposal is None:
            self._controller.said.emit(_NONE, False)
            return
        shown = self.shown
        place = next(k for k, each in enumerate(shown) if each is proposal)
        rest = shown[place + 1 :] or shown[:place]
        self._chosen = rest[0] if rest else None
        if what == "accept":
            self._controller.attempt(self._prepared(lambda: self._annotator.accept_proposals([proposal])))
        elif self._controller.attempt(lambda: self._annotator.reject_proposals([proposal])):
            self._controller.said.emit(f"Rejected; {len(self.shown)} left. Undo brings it back.", False)

    def _prepared(self, action: Any) -> Any:
        def do() -> None:
            self._controller._show_objects()
            action()

        return do

    def _under_mouse(self) -> Proposal | None:
        stage = self._controller.stage
        if stage.image_layer is None:
            return None
        y, x = self._controller._to_pixels(self._controller.viewer.cursor.position)
        if not (np.isfinite(y) and np.isfinite(x)):
            return None
        row, column = round(y), round(x)
        for each in self.shown:
            rows, columns = each.window
            inside = rows.start <= row < rows.stop and columns.start <= column < columns.stop
            if inside and each.crop[row - rows.start, column - columns.start]:
                return each
        return None

    def _take(self) -> None:
        proposed = self._annotator.proposed
        if proposed is not None and proposed is not self._proposed:
            self.threshold = proposed.threshold
            count = len(self.shown)
            self._controller.said.emit(
                f"{count} proposal{'' if count == 1 else 's'}. Y accepts one, N rejects it."
                if count
                else "Nothing more was found that is like your objects.",
                False,
            )
        self._proposed = proposed
        self._draw()

    def _draw(self) -> None:
        annotator, shown, chosen = self._annotator, self.shown, self.chosen
        if annotator.image is not None and self._controller.stage.image_layer is not None:
            place = next((k for k, each in enumerate(shown) if each is chosen), None)
            self.ghosts.show_proposals(shown, place, annotator.image.shape)
        self.changed.emit()

    def _show_review(self, review: Any) -> None:
        if self._controller.stage.image_layer is not None:
            self.ghosts.show_doubt(None if review is None else review.layer)
        self.changed.emit()

    def _leave(self, image: Any) -> None:
        if image is not None:
            self._places.note(image)
        self._chosen = None
        self.ghosts.clear()
        self.changed.emit()
