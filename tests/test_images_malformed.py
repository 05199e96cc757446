"""Every malformed input is refused in one sentence, or opens with a sentence that says what was left out.

They are opened in a process of its own, so that one that ends the program ends no test, and so that memory is counted.
`python -m malformed.run FOLDER NAME` in this folder opens those whose names contain NAME.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from malformed import load

pytest.importorskip("OpenEXR")
pytest.importorskip("flyr")
if not Path("/proc/self/clear_refs").exists():
    pytest.skip("needs Linux, which tells the memory that each file took", allow_module_level=True)

CASES = load()
MOST_BYTES = 500 << 20


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("malformed")
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-m", "malformed.run", str(folder)],
        env={**os.environ, "PYTHONPATH": paths.rstrip(os.pathsep), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    told = [json.loads(line) for line in (folder / "outcomes").read_text().splitlines()]
    last = told[-1] if told else {}
    assert ended.returncode == 0, f"It ended at {last}: {ended.stderr[-3000:]}"
    return {each["name"]: each for each in told if "name" in each}


def test_there_are_enough_of_them(outcomes):
    assert len(CASES) > 300
    assert outcomes.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_one_clear_sentence_and_no_harm(outcomes, name):
    case, found = CASES[name], outcomes[name]
    sentences = found["sentences"]

    assert found["outcome"] == ("opened" if case.opens else "refused"), sentences
    assert not case.says or any(re.search(case.says, sentence) for sentence in sentences), sentences
    assert not found["forbidden"]
    assert not found["as_labels"]
    assert found["bytes"] < MOST_BYTES
    for sentence in sentences:
        assert sentence.isprintable()
    if not case.opens:
        (sentence,) = sentences
        assert sentence.endswith(".")
        assert len(sentence) < 500
        assert ";" in sentence or "expected" in sentence  # what to do, or what would have been right
        about = [" ".join(name[:40].split()) for name in found["names"]]
        assert any(name in sentence for name in [*about, "No file was given"])
