"""The doctor tells what is installed and what is kept, finds what is damaged, and touches nothing of the user's."""

from __future__ import annotations

import json

import pytest
from balls import BALLS, balls

from napari_simmat.annotator import Annotator
from napari_simmat.cli import main
from napari_simmat.folders import cache_folder, data_folder
from napari_simmat.inference import Segmenter
from napari_simmat.inference.cache import forget
from napari_simmat.inference.kept import SIZE_VARIABLE
from napari_simmat.journal import Journal


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(SIZE_VARIABLE, "100")
    forget()


def doctor(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["doctor", *arguments])
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def accepted():
    """The diary of an image in which two objects were accepted."""
    annotator = Annotator(balls(), journal=Journal())
    for number in (1, 2):
        annotator.click(*BALLS[number][:2])
        annotator.accept()
    (path,) = data_folder("journal").glob("*.jsonl")
    return path


def test_a_new_installation_has_no_problems(capsys):
    code, out, _ = doctor(capsys, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["problems"] == []
    assert set(found["versions"]) >= {"Python", "napari-simmat", "torch", "numpy"}
    assert found["device"].startswith(("CPU", "NVIDIA", "Apple"))
    assert all(ms > 0 for ms in found["products_ms"].values())
    assert [folder["files"] for folder in found["folders"]] == [0, 0, 0]
    assert all(folder["is_writable"] for folder in found["folders"])


def test_what_was_accepted_is_counted_and_a_damaged_line_is_told_and_left_alone(capsys):
    path = accepted()
    code, out, _ = doctor(capsys)
    assert code == 0
    assert "2 objects accepted in 1 image." in out
    assert "No problems were found." in out

    with path.open("ab") as file:
        file.write(b'{"event": "object", "label": 3, "image": "cut sh')
    before = path.read_bytes()
    code, out, err = doctor(capsys, "--repair")
    assert code == 1
    assert "2 objects accepted" in out
    assert f"1 line of the journal {path.name} could not be read" in err
    assert path.read_bytes() == before


def test_a_damaged_embedding_is_found_and_removed_if_that_is_asked_for(capsys):
    Segmenter(balls(), keep=True)
    Segmenter(balls(seed=1), keep=True)
    one, other = cache_folder("embeddings").glob("*.safetensors")
    one.write_bytes(one.read_bytes()[:-100])

    code, out, err = doctor(capsys)
    assert code == 1
    assert str(one) in err
    assert "doctor --repair" in err
    assert one.exists()

    code, out, _ = doctor(capsys, "--repair")
    assert code == 0
    assert f"Removed: {one}" in out
    assert not one.exists()
    assert other.exists()
