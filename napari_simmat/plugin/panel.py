"""The dock panel: the sections in the order of the work, and the footer."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QApplication, QDockWidget, QFrame, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from napari_simmat.journal import Journal
from napari_simmat.plugin._mesa import keep_programs_of_deleted_layers
from napari_simmat.plugin.browser import ChannelBrowser
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.footer import Footer
from napari_simmat.plugin.sections.accept_section import AcceptSection
from napari_simmat.plugin.sections.attribution_section import AttributionSection
from napari_simmat.plugin.sections.candidate_section import CandidateSection
from napari_simmat.plugin.sections.classes_section import ClassesSection
from napari_simmat.plugin.sections.export_section import ExportSection
from napari_simmat.plugin.sections.history_section import HistorySection
from napari_simmat.plugin.sections.image_section import ImageSection
from napari_simmat.plugin.sections.model_section import ModelSection
from napari_simmat.plugin.sections.names_section import NamesSection
from napari_simmat.plugin.sections.next_section import NextSection
from napari_simmat.plugin.sections.profile_section import ProfileSection
from napari_simmat.plugin.sections.prompt_section import PromptSection
from napari_simmat.plugin.sections.resume_bar import ResumeBar
from napari_simmat.plugin.sections.train_section import TrainSection
from napari_simmat.plugin.trouble import TroubleBanner

WIDTH = 352

_BROWSER = "Channels"
_TALL = 1000
"""Height of a window in which the channel browser has a place of its own below napari's layer list."""

_LIST_HEIGHT = 290


class SimmatPanel(QWidget):
    """Everything between a multi-channel image and its objects, in the order of the work.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it by this name.
    journal : Journal, optional
        By default the user's own.
    """

    def __init__(self, napari_viewer: Any, *, journal: Journal | None = None) -> None:
        super().__init__()
        self._was_docked = False
        keep_programs_of_deleted_layers()
        self.controller = controller = Controller(napari_viewer, journal=journal)
        self.image = ImageSection(controller.images)
        self.model = ModelSection(controller)
        self.profile = ProfileSection(controller)
        self.prompt = PromptSection(controller)
        self.candidates = CandidateSection(controller)
        self.accept = AcceptSection(controller)
        self.train = TrainSection(controller)
        self.attribution = AttributionSection(controller, lambda: self.accept.chosen)
        self.names = NamesSection(controller)
        self.export = ExportSection(controller)
        self.next = NextSection(controller)
        self.classes = ClassesSection(controller)
        self.resume = ResumeBar(controller)
        self.history = HistorySection(controller)
        self.trouble = TroubleBanner(controller)
        self.footer = Footer(controller)
        self.browser = ChannelBrowser(controller)
        self._viewer = napari_viewer
        self._browser_dock: Any = None
        self._lay_out()
        self.image.browse.clicked.connect(self._toggle_browser)
        # Whichever way the panel goes, its threads must stop; the controller is no child and outlives it.
        self.destroyed.connect(partial(_close, controller))
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(controller.close)
        controller.images.start()

    @property
    def sections(self) -> tuple[QWidget, ...]:
        """The parts in the order of the work."""
        return (
            self.image,
            self.model,
            self.profile,
            self.prompt,
            self.candidates,
            self.accept,
            self.next,
            self.classes,
            self.history,
            self.train,
            self.attribution,
            self.names,
            self.export,
        )

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 0, 6, 0)
        column.setSpacing(2)
        for i, section in enumerate(self.sections):
            if i:
                column.addWidget(_line())
            column.addWidget(section)
            if section is self.image:
                column.addWidget(self.resume)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(2)
        layout.addWidget(self.trouble)
        layout.addWidget(scroll, 1)
        footer = QVBoxLayout()
        footer.setContentsMargins(6, 0, 6, 0)
        footer.addWidget(_line())
        footer.addWidget(self.footer)
        layout.addLayout(footer)
        self.setMinimumWidth(WIDTH)

    def sizeHint(self) -> QSize:
        """As narrow as the text allows: the image needs the place."""
        return QSize(WIDTH, 700)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Find the window once the panel is docked in it."""
        super().showEvent(event)
        window = self._main_window()
        if window is not None:
            self.controller.enter(window)
            if self._browser_dock is None:
                QTimer.singleShot(0, self.dock_browser)

    def dock_browser(self) -> None:
        """Put the channel browser below napari's layer list, or bring it back."""
        if self.controller.is_closed:
            return
        if self._browser_dock is None or self.browser.parent() is None:
            self._browser_dock = self._viewer.window.add_dock_widget(self.browser, name=_BROWSER, area="left")
            self._find_place()
        self._browser_dock.show()
        self._browser_dock.raise_()

    def _find_place(self) -> None:
        """Where the window is too low for one more dock, share the place of napari's layer controls as a tab."""
        window = self._main_window()
        docks = {dock.windowTitle(): dock for dock in window.findChildren(QDockWidget)} if window else {}
        own, controls, layers = (docks.get(name) for name in (_BROWSER, "layer controls", "layer list"))
        if window is None or own is None or controls is None or window.height() >= _TALL:
            return
        window.tabifyDockWidget(controls, own)
        if layers is not None:
            rest = window.height() - _LIST_HEIGHT
            window.resizeDocks([own, layers], [rest, _LIST_HEIGHT], Qt.Orientation.Vertical)

    def _toggle_browser(self) -> None:
        if self._browser_dock is not None and self.browser.isVisible():
            self._browser_dock.hide()
        else:
            self.dock_browser()

    def _remove_browser(self) -> None:
        if self._browser_dock is not None and self.browser.parent() is not None:
            self._viewer.window.remove_dock_widget(self.browser)
        self.browser.deleteLater()

    def event(self, event: QEvent | None) -> bool:
        """Stop everything when napari takes the panel out: it does not delete it, but it takes its parent away."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parentWidget() is not None:
                self._was_docked = True
            elif self._was_docked:
                self.controller.close()
                with suppress(RuntimeError):  # the window is going, and the browser with it
                    self._remove_browser()
        return super().event(event)

    def _main_window(self) -> QMainWindow | None:
        widget: Any = self.parentWidget()
        while widget is not None and not isinstance(widget, QMainWindow):
            widget = widget.parentWidget()
        return widget


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFixedHeight(1)
    line.setStyleSheet("background: rgba(128, 128, 128, 80); border: none;")
    return line


def _close(controller: Controller, *_: Any) -> None:
    controller.close()
