"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile

import pytest
from screens import take_own_screen

from napari_simmat.models import load_base_model

# A test must find nothing that an earlier one left on disk, nor leave anything in the user's folders.
os.environ["NAPARI_SIMMAT_EMBEDDINGS_MB"] = "0"
_HOME = os.environ["NAPARI_SIMMAT_HOME"] = tempfile.mkdtemp(prefix="napari-simmat-tests-")

_SCREEN = take_own_screen()

QUICK_SIDE = 448
"""Longest side at which the model sees images in tests, which is all that most of them need; a fifth of the time.

It is that of a draft, so there is no difference between the two. Tests marked `full_size` have it see them as users do:
what depends on resolution or drafts, on the model's own frame, or is compared with the command line.
"""

_FULL_SIDE = load_base_model().sam.encoder.side

LONG = (
    "test_accuracy",
    "test_faults_damage",
    "test_faults_crash",
    "test_cli",
    "test_training_recipes",
    "test_training",
    "test_training_strategies",
    "test_speed",
    "test_plugin_contributions",
    "test_demo",
    "test_images_malformed",
    "test_plugin_panel",
    "test_plugin_opening",
    "test_faults_jobs",
    "test_faults_closing",
    "test_replay",
    "test_training_align",
    "test_hostile_weights",
)
"""Files that take longest. They come first, so that no process waits for another one's last file at the end."""


def pytest_collection_modifyitems(items):
    """Long files first; the others in the order of their names."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Have the embedded model see images at the size that this test needs; before fixtures are made."""
    base = load_base_model()
    for model in (base, *base._elsewhere.values()):  # and its copies on GPUs
        model.sam.encoder.side = _FULL_SIDE if item.get_closest_marker("full_size") else QUICK_SIDE


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """After the first window, leave what there is to no collection, as `keep_what_is_imported` does for users.

    napari collects all garbage whenever a layer goes, which costs a third of a second each time otherwise.
    """
    result = yield
    if "make_napari_viewer" in item.fixturenames and not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
    return result


def pytest_unconfigure(config):
    """Remove the user's folders of these tests, and their screen."""
    shutil.rmtree(_HOME, ignore_errors=True)
    if _SCREEN is not None:
        _SCREEN.terminate()
