"""Where the model runs and what it keeps on disk, for those who want to decide. Folded away."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QSpinBox, QWidget
from superqt import QCollapsible

from napari_simmat.annotator import Job, Progress
from napari_simmat.inference.compute import PRECISIONS, choose, chosen, devices
from napari_simmat.inference.kept import kept_embeddings
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import button, calm, combo, fill, put_inside, small_text

_NAMES = {"cpu": "CPU", "mps": "Apple GPU"}
_MOST_THREADS = 256


class Computing(QCollapsible):
    """Device, precision and threads, and the embeddings that are kept. A change has the image seen again at once.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__("Compute")
        self._controller = controller
        self.device = combo(tooltips.DEVICE)
        self.precision = combo(tooltips.PRECISION)
        self.threads = QSpinBox()
        self.threads.setToolTip(tooltips.THREADS)
        self.threads.setRange(0, _MOST_THREADS)
        self.threads.setSpecialValueText("automatic")
        self.threads.setKeyboardTracking(False)
        calm(self.threads)
        self.kept = small_text(tooltips.KEPT)
        self.clear = button("Clear", tooltips.CLEAR_KEPT)
        now = chosen()
        places: list[tuple[str, Any]] = [("automatic", None)]
        places += [(_NAMES.get(name, name.upper()), name) for name in devices()]
        precisions: list[tuple[str, Any]] = [("automatic", None), *((name, name) for name in PRECISIONS)]
        for box, entries, value in (
            (self.device, places, now.device),
            (self.precision, precisions, now.precision),
        ):
            values = [entry for _, entry in entries]
            fill(box, entries, values.index(value) if value in values else 0)
        self.threads.setValue(now.threads or 0)
        self._lay_out()
        self.device.activated.connect(lambda _: self._choose(device=self.device.currentData()))
        self.precision.activated.connect(lambda _: self._choose(precision=self.precision.currentData()))
        self.threads.valueChanged.connect(lambda count: self._choose(threads=count or None))
        self.clear.clicked.connect(self._clear)
        self.toggled.connect(lambda is_open: self._look() if is_open else None)
        controller.annotator.encoded.connect(self._encoded)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(8, 0, 8, 0)
        form.setVerticalSpacing(3)
        for label, box in (("Device", self.device), ("Precision", self.precision), ("Threads", self.threads)):
            form.addRow(label, box)
        row = QHBoxLayout()
        row.addWidget(self.kept, 2)
        row.addWidget(self.clear, 1)
        form.addRow("Kept", row)
        inside = QWidget()
        inside.setLayout(form)
        put_inside(self, inside, tooltips.COMPUTE)

    def _choose(self, **changes: str | int | None) -> None:
        choose(**changes)
        self._controller.annotator.see_again()

    def _encoded(self, *_: Any) -> None:
        if self.isExpanded():
            self._look()

    def _look(self) -> None:
        """Find out how much is kept; a folder on a network may take its time."""
        self._ask(lambda: None)

    def _clear(self) -> None:
        def clear() -> None:
            folder = kept_embeddings()
            if folder is not None:
                folder.clear()

        self._ask(clear)

    def _ask(self, first: Any) -> None:
        def work(progress: Progress) -> tuple[int, int] | None:
            first()
            folder = kept_embeddings()
            return None if folder is None else folder.size()

        self._controller.executor(Job("kept", "Looking at what is kept", work, self._show))

    def _show(self, size: tuple[int, int] | None) -> None:
        if size is None:
            self.kept.setText("nothing: switched off")
        else:
            count, n_bytes = size
            self.kept.setText(f"{count} embedding{'s' if count != 1 else ''}, {n_bytes / 2**20:.0f} MB")
        self.clear.setEnabled(bool(size and size[0]))
