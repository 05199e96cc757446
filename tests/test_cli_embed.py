"""`napari-simmat embed`: what it encodes, what it passes over, and who profits."""

from __future__ import annotations

import json
import os
import signal

import pytest
import tifffile
from balls import BALLS, pixels

from napari_simmat import Adapter
from napari_simmat.cli import main
from napari_simmat.images.files import tiff
from napari_simmat.inference import regions
from napari_simmat.inference.cache import forget
from napari_simmat.inference.frozen import FrozenEncoder
from napari_simmat.inference.kept import SIZE_VARIABLE


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(SIZE_VARIABLE, "50")
    forget()
    yield
    forget()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "field"
    (made / "images").mkdir(parents=True)
    for name in "abc":
        tifffile.imwrite(
            made / "images" / f"{name}.tif",
            pixels(3, seed=ord(name)),
            photometric="minisblack",
            metadata={"axes": "CYX"},
        )
    return made


@pytest.fixture
def encoded(monkeypatch):
    calls, early = [], FrozenEncoder.early
    monkeypatch.setattr(FrozenEncoder, "early", lambda self, x: calls.append(1) or early(self, x))
    return calls


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def told(capsys, *arguments):
    assert run(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_a_folder_is_encoded_once_and_goes_on_where_it_was(folder, encoded, capsys):
    first = told(capsys, "embed", folder, "--limit", 2)
    assert (first["images"], first["encoded"], first["found"]) == (2, 2, 0)
    forget()
    second = told(capsys, "embed", folder)
    assert (second["images"], second["encoded"], second["found"], second["kept"]) == (3, 1, 2, 3)
    assert len(encoded) == 3
    assert len(os.listdir(second["folder"])) == 3


def test_what_was_encoded_is_used_by_the_other_commands(folder, encoded, tmp_path, capsys):
    told(capsys, "embed", folder)
    forget()
    encoded.clear()
    row, column, _ = BALLS[1]
    assert (
        run("segment", folder / "images" / "b.tif", "--click", f"{row},{column}", "-o", tmp_path / "m.tif")
        == 0
    )
    assert not encoded


def test_with_an_adapter(folder, encoded, tmp_path, capsys):
    from napari_simmat import open_image

    Adapter.untrained(open_image(folder / "images" / "a.tif"), mat="mat-paper").save(
        tmp_path / "a.safetensors"
    )
    told(capsys, "embed", folder)
    again = told(capsys, "embed", folder, "--adapter", tmp_path / "a.safetensors")
    assert (again["encoded"], again["kept"]) == (3, 6)


def test_cancelled_it_keeps_what_it_has(folder, monkeypatch, capsys):
    early = FrozenEncoder.early

    def interrupt(self, x):
        signal.raise_signal(signal.SIGINT)
        return early(self, x)

    monkeypatch.setattr(FrozenEncoder, "early", interrupt)
    assert run("embed", folder) == 1
    assert "Cancelled" in capsys.readouterr().err
    monkeypatch.setattr(FrozenEncoder, "early", early)
    assert told(capsys, "embed", folder)["found"] == 1


def test_large_images_are_named_and_left_to_the_clicks(folder, monkeypatch, capsys):
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(regions, "LARGE_SIDE", 100)
    assert run("embed", folder) == 0
    out = capsys.readouterr()
    assert "3 images are large, such as a.tif" in out.err
    assert out.out.startswith("0 encoded")


@pytest.mark.full_size
def test_a_folder_that_is_too_small_for_all_is_said(folder, monkeypatch, capsys):
    monkeypatch.setenv(SIZE_VARIABLE, "9" if os.environ.get("NAPARI_SIMMAT_PRECISION") == "float32" else "5")
    assert run("embed", folder) == 0
    assert "so the first ones went again" in capsys.readouterr().err


@pytest.mark.full_size
@pytest.mark.parametrize(
    ("size", "arguments", "sentence"),
    [
        ("0", ("embed", "{folder}"), "switched off"),
        ("50", ("embed", "{folder}/images"), "expected a dataset: a folder with images/ in it"),
        ("1", ("embed", "{folder}"), "could not be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(folder, monkeypatch, capsys, size, arguments, sentence):
    monkeypatch.setenv(SIZE_VARIABLE, size)
    assert run(*(argument.format(folder=folder) for argument in arguments)) == 1
    assert sentence in capsys.readouterr().err.strip().splitlines()[-1]
