"""Whether a window can be had, said before Qt ends the process for want of one."""

from __future__ import annotations

import importlib
import os
import platform
from types import ModuleType

from napari_simmat.errors import SimmatError

_NO_DISPLAY = (
    "There is no display to open a window on; use the commands segment, finetune, evaluate and export, "
    "or demo --headless."
)
_NO_NAPARI = 'napari or its Qt binding is missing ({}); install them with: pip install "napari-simmat[all]"'


def has_display() -> bool:
    """Whether a window can be shown."""
    if platform.system() != "Linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def plugin() -> ModuleType:
    """The plugin, which opens windows.

    Raises
    ------
    SimmatError
        If there is no display, or no napari with a Qt binding.
    """
    if not has_display():
        raise SimmatError(_NO_DISPLAY)
    try:
        importlib.import_module("napari")
        importlib.import_module("qtpy.QtWidgets")
    except Exception as error:  # qtpy has errors of its own for a missing binding
        raise SimmatError(_NO_NAPARI.format(" ".join(str(error).split()))) from error
    return importlib.import_module("napari_simmat.plugin")
