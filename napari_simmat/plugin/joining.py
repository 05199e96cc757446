"""Files that were dropped together and make up one image become one layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_simmat.annotator import Job, Progress
from napari_simmat.errors import ImageError
from napari_simmat.images.opened import open_file
from napari_simmat.plugin.executor import Executor
from napari_simmat.plugin.pictures import TAKEN, opened_layer
from napari_simmat.plugin.taken import Taken

TOGETHER_S = 5.0
"""Files that come one after the other within this time may have been dropped together."""


class Joining(QObject):
    """Looks at files that came shortly after one another.

    napari gives those that were dropped together to the reader one by one.

    Parameters
    ----------
    viewer : napari.Viewer
    executor : Executor
    instead : callable
        Is told of the layer that was made and of those that it stands for, before they are removed.
    wait_ms : int
        How long no other file must come before they are looked at.
    parent : QObject, optional
    """

    def __init__(
        self,
        viewer: Any,
        executor: Executor,
        instead: Callable[[Any, list[Any]], None],
        *,
        wait_ms: int,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._execute = executor
        self._instead = instead
        self._inserted: list[tuple[Any, list[Path]]] = []
        self._inserted_at = 0.0
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(wait_ms)
        self._wait.timeout.connect(self._join)

    def expect_more(self, layer: Any) -> None:
        """Remember a layer of a file that was opened."""
        now, file = monotonic(), _file_of(layer)
        if now - self._inserted_at > TOGETHER_S:
            self._inserted.clear()
        self._inserted_at = now
        if file is not None:
            self._inserted.append((layer, [file]))
            self._wait.start()

    def stop(self) -> None:
        """Look at nothing any more."""
        self._wait.stop()

    def _join(self) -> None:
        parts = [(layer, files) for layer, files in self._inserted if layer in self._viewer.layers]
        paths = [path for _, files in parts for path in files]
        if len(parts) < 2 or len(set(paths)) < len(paths) or len({path.parent for path in paths}) > 1:
            return

        def work(progress: Progress) -> Any:
            try:
                return opened_layer(open_file(paths))
            except ImageError:  # they are images of their own
                return None

        def take(joint: Any) -> None:
            if joint is None or not all(layer in self._viewer.layers for layer, _ in parts):
                return
            data, options, _ = joint
            made = self._viewer.add_image(data, **options)
            joined = [layer for layer, _ in parts]
            # The joint image may be found to lack a file that comes only now.
            self._inserted = [each for each in self._inserted if each[0] not in [*joined, made]]
            self._inserted.insert(0, (made, paths))
            self._instead(made, joined)
            for layer in joined:
                self._viewer.layers.remove(layer)

        self._execute(Job("join", "Looking at the files together", work=work, take=take))


def _file_of(layer: Any) -> Path | None:
    taken: Taken = layer.metadata[TAKEN]
    source = taken.opened.source
    return source if source is not None and source.is_file() else None
