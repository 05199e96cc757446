"""What each object may be called, as a table: drawn when somebody looks, so that thousands cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_simmat.inference.naming import Ranked

_TITLES = ("object", "name", "similarity")
_SHOWN = 5


class NameTable(QAbstractTableModel):
    """One row for each object; the user role holds its label, the tooltip the next names.

    Parameters
    ----------
    parent : QObject, optional
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Ranked, ...] = ()

    def show(self, rows: Sequence[Ranked]) -> None:
        """Show other objects."""
        self.beginResetModel()
        self._rows = tuple(rows)
        self.endResetModel()

    @property
    def rows(self) -> tuple[Ranked, ...]:
        """What is shown, from top to bottom."""
        return self._rows

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of objects."""
        return len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Object, name, similarity."""
        return len(_TITLES)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Titles of the columns."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return _TITLES[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text of a cell, label of its object, or the names that come next."""
        if not index.isValid():
            return None
        found = self._rows[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return found.label
        if role == Qt.ItemDataRole.ToolTipRole:
            pairs = zip(found.names[:_SHOWN], found.similarities[:_SHOWN], strict=True)
            return "\n".join(f"{name}: {similar:.2f}" for name, similar in pairs)
        if role == Qt.ItemDataRole.DisplayRole:
            return (str(found.label), found.name, f"{found.similarities[0]:.2f}")[index.column()]
        return None
