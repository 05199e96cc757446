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
    """The project of an image in which two objects were accepted."""
    annotator = Annotator(balls(), journal=Journal())
    for number in (1, 2):
        annotator.click(*BALLS[number][:2])
        annotator.accept()
    annotator.close()
    (folder,) = data_folder("projects").glob("*.simmat")
    return folder


def test_a_new_installation_has_no_problems(capsys):
    code, out, _ = doctor(capsys, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["problems"] == []
    assert set(found["versions"]) >= {"Python", "napari-simmat", "torch", "numpy"}
    assert found["device"].startswith(("CPU", "NVIDIA", "Apple"))
    assert all(ms > 0 for ms in found["products_ms"].values())
    assert [folder["files"] for folder in found["folders"]] == [0, 0, 0, 0]
    assert all(folder["is_writable"] for folder in found["folders"])


def test_projects_are_counted_and_damage_is_told_and_left_alone(capsys):
    folder = accepted()
    code, out, _ = doctor(capsys)
    assert code == 0
    assert f"{folder}: 2 objects, 5 gestures, 1 adapter, 1 snapshot" in out
    assert "No problems were found." in out

    journal = folder / "journal.sqlite"
    journal.write_bytes(journal.read_bytes()[:5000])
    (snapshot,) = folder.glob("*.snapshot")
    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole[:-2])
    before = journal.read_bytes()
    code, out, _ = doctor(capsys)
    assert code == 1
    assert "journal.sqlite" in out
    assert "is damaged" in out
    assert journal.read_bytes() == before

    snapshot.write_bytes(whole)
    code, out, _ = doctor(capsys, "--repair")
    assert code == 0
    assert "Repaired: The journal in" in out
    assert [path.read_bytes() for path in folder.glob("damaged-*/journal.sqlite")] == [before]
    again = Annotator(balls(), journal=Journal())
    assert set(again.objects) == {1, 2}
    again.close()


def test_projects_can_be_named_and_what_is_none_is_said(capsys, tmp_path):
    folder = accepted()
    code, out, _ = doctor(capsys, str(folder), "--json")
    assert code == 0
    assert [project["objects"] for project in json.loads(out)["projects"]] == [2]
    code, _, err = doctor(capsys, str(tmp_path))
    assert code == 1
    assert "There is no project in" in err


def test_a_project_that_a_window_works_on_is_not_repaired(capsys):
    annotator = Annotator(balls(), journal=Journal())
    annotator.click(*BALLS[1][:2])
    annotator.accept()
    code, out, _ = doctor(capsys, "--repair")
    assert code == 0
    assert "open in a window" in out
    annotator.close()


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
