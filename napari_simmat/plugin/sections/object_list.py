"""The objects of an image as a list for a combo box: described when somebody looks, so that thousands cost nothing."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt

NONE = "no objects yet"


class ObjectList(QAbstractListModel):
    """One row for each object; the user role holds its label.

    Without objects there is one row that says so, with None.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._notes: dict[int, Any] = {}
        self._labels: list[int] = []
        self._rows: dict[int, int] = {}

    def show(self, notes: dict[int, Any]) -> None:
        """List other objects."""
        self.beginResetModel()
        self._notes, self._labels = notes, list(notes)
        self._rows = {label: row for row, label in enumerate(self._labels)}
        self.endResetModel()

    def row_of(self, label: int | None) -> int | None:
        """Row of an object, or None if it is not there."""
        return None if label is None else self._rows.get(label)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of rows."""
        return max(1, len(self._labels))

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Description or label of an object."""
        if not index.isValid():
            return None
        label = self._labels[index.row()] if index.row() < len(self._labels) else None
        if role == Qt.ItemDataRole.UserRole:
            return label
        if role == Qt.ItemDataRole.DisplayRole:
            return NONE if label is None else _described(label, self._notes[label])
        return None


def _described(label: int, note: Any) -> str:
    clicks = len(note.prompt.points) if note.prompt is not None else 0
    made = "brush" if note.source == "brush" else f"{clicks} click{'s' if clicks != 1 else ''}"
    name = "" if note.class_name is None else f"{note.class_name}, "
    return f"object {label}: {name}{note.area} px, {made}"
