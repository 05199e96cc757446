"""Kills annotators at random moments and looks what is left: `python tests/faults/crash.py --kills 200 --seed 0`.

After each kill the image is opened again: that must succeed, every gesture that was done must be there, at most the one
that was under way may be missing, and no file may be damaged.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")

LONGEST_MS = {"train": 900.0, "accept": 12.0, "export": 12.0, "click": 40.0, "accept proposals": 200.0}
"""Until when after a gesture began it may be killed; the others take less than `USUAL_MS`."""

USUAL_MS = 8.0
IN_A_PROJECT = 8
"""After so many kills the next begin in a new folder."""


@dataclass
class Outcome:
    """What was found."""

    kills: int = 0
    missing: int = 0
    """Kills after which the gesture that was under way was not there."""
    there: int = 0
    """Kills after which it was there."""
    between: int = 0
    """Kills between two gestures."""
    by_kind: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[str] = field(default_factory=list)


class Worker:
    """The process that others are forked from."""

    def __init__(self, home: Path) -> None:
        environment = {
            **os.environ,
            "NAPARI_SIMMAT_HOME": str(home),
            "NAPARI_SIMMAT_EMBEDDINGS_MB": "0",
            "OMP_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment,
        )
        self.expect("ready")

    def ask(self, *words: object) -> int:
        """Have another process forked; its number."""
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return int(self.expect("pid").split()[1])

    def line(self) -> str:
        """The next line; raises if the worker is gone."""
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the worker ended")
        return line.strip()

    def expect(self, word: str) -> str:
        """The next line that begins with a word."""
        while not (line := self.line()).startswith(word):
            if line.startswith("failed"):
                raise RuntimeError(line)
        return line

    def look(self, folder: Path) -> dict[str, object]:
        """What another process finds in a folder."""
        self.ask("look", folder)
        found = json.loads(self.expect("found").split(maxsplit=1)[1])
        self.expect("end")
        return found

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait(20)


def kill_once(worker: Worker, folder: Path, rng: random.Random, outcome: Outcome) -> None:
    """Let an annotator work, kill it at a random moment, and look."""
    pid = worker.ask("work", folder, rng.randrange(1 << 30), 40)
    wanted = rng.randrange(0, 30)
    last = worker.expect("open").split()[1]
    under_way, ended = "", False
    while not ended:
        line = worker.line()
        words = line.split()
        if words[0] == "begin":
            under_way = " ".join(words[2:])
            if int(words[1]) == wanted:
                delay = rng.uniform(0, LONGEST_MS.get(under_way, USUAL_MS)) / 1000
                threading.Thread(target=_kill, args=(pid, delay), daemon=True).start()
        elif words[0] == "done":
            last, under_way = words[-1], ""
        elif words[0] == "failed":
            outcome.failures.append(f"{folder.name}: {line}")
        ended = words[0] == "end"
    outcome.kills += 1
    _judge(worker.look(folder), last, under_way, folder, outcome)


def _kill(pid: int, delay: float) -> None:
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _judge(found: dict, last: str, under_way: str, folder: Path, outcome: Outcome) -> None:
    where = f"{folder.name}, kill {outcome.kills}, {under_way or 'between gestures'}"
    if found["problems"] or found["told"]:
        outcome.failures.append(f"{where}: {[*found['problems'], *found['told']]}")
    if found["read_only"]:
        outcome.failures.append(f"{where}: the lock of a killed process is still there")
    if found["now"] == last:
        outcome.missing += bool(under_way)
        outcome.between += not under_way
    elif under_way and last in (found["undo"], found["redo"]):
        outcome.there += 1
    else:
        outcome.failures.append(f"{where}: {last} was done, found {found}")
    outcome.by_kind[under_way or "between"] += 1


def run(kills: int, seed: int, base: Path) -> Outcome:
    """Kill so many annotators, one after the other."""
    rng, outcome = random.Random(seed), Outcome()
    worker = Worker(base / "home")
    try:
        for number in range(kills):
            folder = base / f"project-{number // IN_A_PROJECT}"
            folder.mkdir(exist_ok=True)
            kill_once(worker, folder, rng, outcome)
            if number % 20 == 19:
                print(f"{number + 1} kills, {len(outcome.failures)} failures", flush=True)
    finally:
        worker.close()
    return outcome


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="napari-simmat-crash-"))
    outcome = run(options.kills, options.seed, base)
    print(
        f"{outcome.kills} kills, seed {options.seed}: gesture under way missing {outcome.missing}, there "
        f"{outcome.there}, between two gestures {outcome.between}; {dict(outcome.by_kind)}"
    )
    for failure in outcome.failures:
        print(f"FAILED: {failure}")
    if not outcome.failures:
        shutil.rmtree(base)
    return bool(outcome.failures)


if __name__ == "__main__":
    sys.exit(main())
