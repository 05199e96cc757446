"""What an earlier session left of this image: shown, and taken up or not."""

from __future__ import annotations

from datetime import datetime

from qtpy.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from napari_simmat.annotator import Found
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import button, reveal, small_text


class ResumeBar(QFrame):
    """Offers to resume unfinished work, or to take over that on an earlier content of the file.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("resume")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._controller = controller
        self.text = small_text()
        self.resume = button("Resume", tooltips.RESUME)
        self.empty = button("Start empty", tooltips.START_EMPTY)
        self.bring = button("Take them over", tooltips.BRING)
        self.leave = button("Leave them", tooltips.LEAVE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.text)
        answers = QHBoxLayout()
        for each in (self.resume, self.empty, self.bring, self.leave):
            answers.addWidget(each)
        layout.addLayout(answers)
        annotator = controller.annotator
        self.resume.clicked.connect(lambda: controller.attempt(annotator.resume))
        self.empty.clicked.connect(lambda: controller.attempt(annotator.start_empty))
        self.bring.clicked.connect(lambda: controller.attempt(annotator.bring_former))
        self.leave.clicked.connect(self.hide)
        annotator.found.connect(self._show_found)
        annotator.opened.connect(self._show_former)
        annotator.brought.connect(self._brought)
        annotator.image_changed.connect(lambda _: self.hide())
        self.hide()

    def _show_found(self, found: Found) -> None:
        self._show(f"Found unfinished work on this image: {_described(found)}", is_former=False)

    def _show_former(self, restored: int) -> None:
        book = self._controller.annotator.book
        former = None if book is None else book.former
        if former is None:
            self.hide()
            return
        objects = "1 object was" if former.objects == 1 else f"{former.objects} objects were"
        self._show(
            f"This file has changed: {objects} made on what it held before (last change {_when(former.time)}). "
            "They are kept in the project, and not shown on this content.",
            is_former=True,
        )

    def _show(self, text: str, *, is_former: bool) -> None:
        self.text.setText(text)
        for each in (self.resume, self.empty):
            each.setVisible(not is_former)
        for each in (self.bring, self.leave):
            each.setVisible(is_former)
        self.show()
        reveal(self)

    def _brought(self, count: int) -> None:
        self.hide()
        self._controller.said.emit(
            f"{count} object{'s' if count != 1 else ''} taken over; look at each.", False
        )


def _described(found: Found) -> str:
    story, parts = found.story, []
    count = len(found.book.notes)
    parts.append(f"{count} object{'s' if count != 1 else ''}")
    if story.prompt is not None:
        clicks = len(story.prompt.get("points") or ()) + (story.prompt.get("box") is not None)
        parts.append(f"{clicks} click{'s' if clicks != 1 else ''} on the next one")
    if story.done:
        parts.append(f"{len(story.done)} steps to undo")
    if story.version is not None:
        parts.append(f"model {story.version['name']!r}")
    when = f", last change {_when(story.time)}" if story.time else ""
    return f"{', '.join(parts)}{when}."


def _when(time: float) -> str:
    then, now = datetime.fromtimestamp(time), datetime.now()
    clock = f"{then:%H:%M}"
    if then.date() == now.date():
        return f"today, {clock}"
    return f"{then:%Y-%m-%d}, {clock}"
