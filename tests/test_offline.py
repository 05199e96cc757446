"""Nothing asks the network: neither the main job in Python nor the command line. Who tried would end the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_GUARD = """
import os, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        if event == "socket.connect" and isinstance(arguments[1], (str, bytes)):
            return  # a socket of this machine's own, such as that of a display
        os.write(2, f"asked the network: {event} {arguments}".encode())
        os._exit(99)

sys.addaudithook(refuse)
"""

_JOB = """
from pathlib import Path
import numpy as np
from napari_simmat import Adapter, Segmenter
from napari_simmat.annotator import Annotator
from napari_simmat.images import open_dataset, sample_path
from napari_simmat.training import first_click

image, labels = open_dataset(sample_path("seedlings-train"))[0].load()
annotator = Annotator(image)
for label in [n for n in np.unique(labels) if n][:3]:
    annotator.click(*first_click(labels == label))
    annotator.accept()
annotator.quick(steps=2)
annotator.export(Path("labels.tif"), "tiff")
annotator.save_adapter(Path("a.safetensors"))
Segmenter(image, adapter=Adapter.load("a.safetensors")).predict([(20, 20)])
print("done")
"""

_ASKS = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
_COMMANDS = "from napari_simmat.cli import main; main()"


def run(code, folder, *arguments):
    environment = {**os.environ, "NAPARI_SIMMAT_HOME": str(folder / "home")}
    return subprocess.run(
        [sys.executable, "-c", _GUARD + code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_guard_sees_who_asks(tmp_path):
    """Else the tests below could not fail."""
    found = run(_ASKS, tmp_path)
    assert found.returncode == 99
    assert "asked the network" in found.stderr


def test_the_main_job_asks_nobody(tmp_path):
    found = run(_JOB, tmp_path)
    assert found.returncode == 0, found.stderr
    assert "done" in found.stdout
    assert (tmp_path / "labels.tif").is_file()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["info", "SAMPLE", "--json"], ["segment", "SAMPLE", "--click", "20,20", "-o", "o.tif"]],
)
def test_commands_ask_nobody(tmp_path, arguments):
    from napari_simmat.images import open_dataset, sample_path

    sample = str(open_dataset(sample_path("seedlings-train"))[0].image_path)
    found = run(_COMMANDS, tmp_path, *[sample if each == "SAMPLE" else each for each in arguments])
    assert found.returncode == 0, found.stderr
