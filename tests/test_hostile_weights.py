"""Adapters and checkpoints of anybody: none runs code, each that is not what it says gives one sentence."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from balls import balls
from safetensors import safe_open

from napari_simmat import Adapter
from napari_simmat.errors import AdapterError, SimmatError, WeightsError
from napari_simmat.models import load_base_model
from napari_simmat.models.header import HeaderError, check_header

GOOD = np.zeros(4, np.float32).tobytes()
MOST_BYTES = 64 << 20
"""Memory that refusing a file may take at most."""


def entry(dtype="F32", shape=(4,), offsets=(0, 16), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def stored(header, data=GOOD, *, length=None):
    """A .safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


HEADERS = {
    "empty": b"",
    "seven bytes": b"\x02\0\0\0\0\0\0",
    "header longer than the file": stored({"a": entry()}, length=1 << 40),
    "header of 2^64 - 1 bytes": stored({"a": entry()}, length=2**64 - 1),
    "header of no bytes": stored(b"", length=0),
    "no JSON": stored(b"{'a': 1}"),
    "not UTF-8": stored(b'{"\xff\xfe": {}}'),
    "a list": stored(b"[1, 2, 3]"),
    "nested a hundred thousand times": stored(b"[" * 100_000 + b"]" * 100_000),
    "a name twice": stored(
        b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, '
        b'"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}'
    ),
    "two tensors on the same bytes": stored({"a": entry(), "b": entry()}),
    "two tensors that overlap by half": stored(
        {"a": entry(), "b": entry(offsets=(8, 24))}, data=GOOD + GOOD[:8]
    ),
    "a gap": stored({"a": entry(), "b": entry(offsets=(20, 36))}, data=GOOD * 2 + GOOD[:4]),
    "numbers behind the last tensor": stored({"a": entry()}, data=GOOD + b"more"),
    "numbers missing": stored({"a": entry()}, data=GOOD[:12]),
    "a trillion numbers in sixteen bytes": stored({"a": entry(shape=(10**12,))}),
    "a trillion numbers beyond the file": stored({"a": entry(shape=(10**12,), offsets=(0, 4 * 10**12))}),
    "sizes whose product overflows to the right one": stored({"a": entry(shape=(2**62, 2**4, 2**2))}),
    "a shape below zero": stored({"a": entry(shape=(-4,))}),
    "a shape of fractions": stored({"a": entry(shape=(4.0,))}),
    "a shape of words": stored({"a": entry(shape=("4",))}),
    "a shape that is true": stored({"a": entry(shape=(True, 4))}),
    "a shape beyond 64 bits": stored({"a": entry(shape=(2**70, 0), offsets=(0, 0))}, data=b""),
    "a hundred axes": stored({"a": entry(shape=(1,) * 100 + (4,))}),
    "no shape": stored({"a": {"dtype": "F32", "data_offsets": [0, 16]}}),
    "places backwards": stored({"a": entry(offsets=(16, 0))}),
    "a place before the file": stored({"a": entry(offsets=(-16, 0))}),
    "three places": stored({"a": entry(offsets=(0, 8, 16))}),
    "no type": stored({"a": {"shape": [4], "data_offsets": [0, 16]}}),
    "a type that nobody knows": stored({"a": entry(dtype="PICKLE")}),
    "whole numbers": stored({"a": entry(dtype="I32")}),
    "eight-bit floats": stored({"a": entry(dtype="F8_E4M3", shape=(16,))}),
    "something else beside": stored({"a": entry(code="import os")}),
    "a tensor that is a word": stored({"a": "F32"}),
    "fifty thousand tensors": stored(
        {f"t{k}": entry(shape=(0,), offsets=(0, 0)) for k in range(50_000)}, data=b""
    ),
    "a web page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "a zip": b"PK\x03\x04" + bytes(100),
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "zeros": bytes(4096),
    "noise": np.random.default_rng(0).bytes(4096),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_lies_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / "adapter.safetensors").write_bytes(HEADERS[name])
    with pytest.raises(HeaderError):
        check_header(tmp_path / "adapter.safetensors")
    tracemalloc.start()
    for read, error in ((Adapter.load, AdapterError), (load_base_model, WeightsError)):
        with pytest.raises(error) as refused:
            read(tmp_path / "adapter.safetensors")
        assert is_a_sentence(str(refused.value))
    assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    tracemalloc.stop()


def is_a_sentence(text):
    return (
        "adapter.safetensors" in text
        and "\n" not in text
        and len(text) < 400
        and text.endswith((".", "model)."))
    )


def test_a_file_larger_than_any_adapter_is_not_read(tmp_path):
    path = tmp_path / "adapter.safetensors"
    with path.open("wb") as file:  # sparse: takes no room on most disks
        file.write(stored({"a": entry()}))
        file.truncate(5 << 30)
    with pytest.raises(AdapterError, match=r"has 5\.4 GB, expected at most 4\.3"):
        Adapter.load(path)


# ------------------------------------------------ honest headers, hostile content


def changed(path, **changes):
    """A real adapter, saved with other metadata or tensors."""
    Adapter.untrained(balls()).save(path)
    with safe_open(path, framework="np") as file:
        metadata, tensors = dict(file.metadata()), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    metadata |= {k: v for k, v in changes.items() if isinstance(v, str)}
    tensors |= {k: v for k, v in changes.items() if isinstance(v, np.ndarray)}
    from safetensors.numpy import save_file

    save_file(tensors, path, metadata=metadata)
    return path


CONTENTS = {
    "NaN": {"mat.linear.weight": np.full((3, 5, 1, 1), np.nan, np.float32)},
    "infinite": {"mat.linear.weight": np.full((3, 5, 1, 1), np.inf, np.float32)},
    "another shape": {"mat.linear.weight": np.zeros((3, 999, 1, 1), np.float32)},
    "a name of nothing": {"__reduce__": np.zeros(1, np.float32)},
    "a path as name": {"../../etc/passwd": np.zeros(1, np.float32)},
    "another format": {"format": "napari-simmat adapter 99"},
    "a profile that is no JSON": {"profile": "__import__('os').system('true')"},
    "a profile of a million channels": {
        "profile": '{"modality": "x", "channels": [' + '"a",' * 99_999 + '"a"]}'
    },
    "a card that is a list": {"card": "[]"},
    "a transfer layer that nobody knows": {
        "card": '{"base_model": "x", "base_sha256": "y", "mat": "os.system"}'
    },
}


@pytest.mark.parametrize("name", CONTENTS)
def test_an_adapter_with_hostile_content_is_refused_in_a_sentence(tmp_path, name):
    path = changed(tmp_path / "adapter.safetensors", **CONTENTS[name])
    with pytest.raises(AdapterError) as refused:
        Adapter.load(path)
    assert is_a_sentence(str(refused.value))


# --------------------------------------------------------------- pickles


class Gadget:
    """Makes a file when it is unpickled by whoever runs what a pickle asks for."""

    def __init__(self, marker, how):
        self._marker, self._how = str(marker), how

    def __reduce__(self):
        if self._how == "system":
            return os.system, (f"touch {self._marker}",)
        if self._how == "eval":
            return eval, (f"open({self._marker!r}, 'w').close()",)
        if self._how == "open":
            return io.open, (self._marker, "w")
        return exec, (f"import pathlib; pathlib.Path({self._marker!r}).touch()",)


def as_pickle(path, value):
    path.write_bytes(pickle.dumps(value))


def as_torch(path, value):
    torch.save(value, path)


def as_old_torch(path, value):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def as_zip(path, value):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value))
        archive.writestr("archive/version", "3\n")


@pytest.mark.parametrize("how", ["system", "eval", "open", "exec"])
@pytest.mark.parametrize("write", [as_pickle, as_torch, as_old_torch, as_zip])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_no_pickle_is_ever_run(tmp_path, how, write, suffix):
    marker, path = tmp_path / "ran", tmp_path / f"weights{suffix}"
    write(path, {"image_encoder.weight": torch.zeros(2), "gadget": Gadget(marker, how)})
    for read in (load_base_model, Adapter.load):
        with pytest.raises(SimmatError):
            read(path)
    assert not marker.exists()


@pytest.mark.parametrize("how", ["system", "eval", "open", "exec"])
def test_the_gadgets_would_run_if_they_were_unpickled(tmp_path, how):
    """Else the test above could not fail."""
    pickle.loads(pickle.dumps(Gadget(tmp_path / "ran", how)))
    assert (tmp_path / "ran").exists()


def test_a_checkpoint_with_numbers_that_are_not_finite_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    state = {k: v.clone() for k, v in load_base_model().sam.state_dict().items()}
    state["mask_decoder.iou_token.weight"][0, 0] = float("nan")
    torch.save(state, tmp_path / "poisoned.pth")
    with pytest.raises(WeightsError, match=r"poisoned\.pth holds numbers that are not finite"):
        load_base_model(tmp_path / "poisoned.pth")
    assert not list(Path(tmp_path / "home").rglob("*.safetensors"))


SMALL_MEMORY = """
import resource, sys
from napari_simmat import Adapter
from napari_simmat.errors import AdapterError
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (512 << 20),) * 2)
try:
    Adapter.load(sys.argv[1])
except AdapterError as error:
    print(error)
"""
"""Refuses an adapter with half a gigabyte left, where there is a way to say so."""


LARGE = {
    "convolutions of a gigabyte and a half": ("conv-stack:15,8,512", {}),
    "a first convolution of 800 GB": (
        "linear+embedding",
        {"mat.stem.weight": np.zeros((4096, 0, 4096, 4096), np.float32)},
    ),
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no way to bound the memory")
@pytest.mark.parametrize("name", LARGE)
def test_a_small_file_takes_little_memory_whatever_it_says_of_itself(tmp_path, name):
    layer, tensors = LARGE[name]
    path = tmp_path / "adapter.safetensors"
    changed(path)
    with safe_open(path, framework="np") as file:
        card = json.loads(file.metadata()["card"]) | {"mat": layer}
    changed(path, card=json.dumps(card), **tensors)
    done = subprocess.run(
        [sys.executable, "-c", SMALL_MEMORY, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert is_a_sentence(done.stdout.strip())
    assert "alloc" not in done.stdout  # else it tried to take the memory
