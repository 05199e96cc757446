"""Opens every malformed input in a process of its own and writes what came of it, one line of JSON each, to outcomes.

python -m malformed.run FOLDER [PART OF A NAME ...]
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

import dask.array  # noqa: F401 - its import unpickles operators of its own, which no file asked for
import numpy as np

from malformed import SECRET, Case, load
from napari_simmat.errors import ImageError
from napari_simmat.images import load_profile, open_image, open_labels

FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "pickle.find_class", "subprocess.Popen", "os.system",
             "os.exec", "os.posix_spawn", "urllib.Request")  # fmt: skip
NOBODY = 65534

forbidden: list[str] = []
watching = False


def watch(event: str, arguments: Any) -> None:
    if event == "pickle.find_class" and str(arguments[0]).startswith(("dask", "numpy", "operator")):
        return  # dask copies its own plans so
    if watching and event in FORBIDDEN:
        forbidden.append(f"{event} {arguments!r}"[:200])


def peak_bytes() -> int:
    """The most memory that the process ever had, since `forget_peak` where the system can forget."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


def forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def looked_at(path: Any) -> tuple[str, list[str]]:
    """Open an image and read pixels of it as the window does."""
    image = open_image(path)
    planes = [image.plane(0), image.window(0, 0, 8, 8).data, image.overview(64)]
    image.content_key()
    secret = any(np.all(plane == SECRET) for plane in planes)
    return ("secret" if secret else "opened"), list(image.assumptions)


def outcome(case: Case, path: Any) -> dict[str, Any]:
    try:
        if case.by == "profile":
            load_profile(path)
            return {"outcome": "opened", "sentences": []}
        if case.by == "labels":
            return {"outcome": "opened", "sentences": [f"labels of shape {open_labels(path).shape}"]}
        how, sentences = looked_at(path)
        return {"outcome": how, "sentences": sentences}
    except ImageError as error:
        return {"outcome": "refused", "sentences": [str(error)]}
    except BaseException:
        return {"outcome": "raised", "sentences": [traceback.format_exc()[-1500:]]}


def as_labels(path: Any) -> str:
    """What comes of the same file as labels: nothing to say if it opens or is refused in a sentence."""
    try:
        open_labels(path)
    except ImageError as error:
        return "" if "\n" not in str(error) else f"several lines: {error}"
    except BaseException:
        return traceback.format_exc()[-1500:]
    return ""


def measured(case: Case, path: Any) -> dict[str, Any]:
    global watching
    faulthandler.dump_traceback_later(30, exit=True)
    forget_peak()
    before, start = peak_bytes(), time.perf_counter()
    forbidden.clear()
    watching = True
    if case.unprivileged and os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        found = outcome(case, path)
    finally:
        if case.unprivileged and os.getuid() == 0:
            os.seteuid(0)
    found["seconds"] = time.perf_counter() - start
    found["as_labels"] = as_labels(path) if case.by == "image" and isinstance(path, Path) else ""
    watching = False
    found["bytes"] = peak_bytes() - before
    found["forbidden"] = list(forbidden)
    faulthandler.cancel_dump_traceback_later()
    return found


def main(folder: Path, parts: list[str]) -> None:
    open_image(warm_up(folder))  # what is imported on the first file is not counted
    sys.addaudithook(watch)
    with (folder / "outcomes").open("w", buffering=1) as outcomes:  # libraries print on standard output
        open_all(folder, parts, outcomes)


def open_all(folder: Path, parts: list[str], outcomes: TextIO) -> None:
    for name, case in load().items():
        if parts and not any(part in name for part in parts):
            continue
        print(json.dumps({"begins": name}), file=outcomes)
        own = folder / name.replace("/", "-")
        own.mkdir(mode=0o755)
        os.chdir(own)  # nobody may not walk through the folders of the superuser's tests
        paths = case.make(Path() if case.unprivileged else own)
        names = [*sorted(each.name for each in own.rglob("*"))[:20], own.name]
        names += [repr(each.name)[1:-1] for each in (paths if isinstance(paths, list) else [paths])]
        found = {"name": name, "names": names, **measured(case, paths)}
        print(json.dumps(found), file=outcomes)
        os.chdir(folder)
        shutil.rmtree(own, ignore_errors=True)


def warm_up(folder: Path) -> Path:
    import tifffile
    from PIL import Image

    Image.fromarray(np.zeros((8, 8), "u1")).save(folder / "warm.png")
    open_image(folder / "warm.png").overview(4)
    np.save(folder / "warm.npy", np.zeros((8, 8)))
    open_image(folder / "warm.npy")
    tifffile.imwrite(folder / "warm.tif", np.zeros((8, 8), "u1"), compression="zlib")
    return folder / "warm.tif"


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
