"""What holds for all tests."""

from __future__ import annotations

import os
import shutil
import tempfile

from screens import take_own_screen

# A test must find nothing that an earlier one left on disk, nor leave anything in the user's folders.
os.environ["NAPARI_SIMMAT_EMBEDDINGS_MB"] = "0"
_HOME = os.environ["NAPARI_SIMMAT_HOME"] = tempfile.mkdtemp(prefix="napari-simmat-tests-")

_SCREEN = take_own_screen()


def pytest_unconfigure(config):
    """Remove the user's folders of these tests, and their screen."""
    shutil.rmtree(_HOME, ignore_errors=True)
    if _SCREEN is not None:
        _SCREEN.terminate()
