"""Profiles that people have edited by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from malformed import content
from napari_simmat.images import as_image, profile_for


def profile(**changes: Any) -> bytes:
    found = json.loads(profile_for(as_image(np.ones((8, 8)))).model_dump_json())
    return json.dumps(found | changes).encode()


def seen(**changes: Any) -> bytes:
    found = json.loads(profile())
    return profile(sees=[found["sees"][0] | changes])


def wrong(name: str, data: bytes | Callable[[], bytes], says: str = "is no profile") -> None:
    content(f"profile {name}", "p.json", data, says, by="profile")


wrong("empty", b"")
wrong("not JSON", b"modality: rgb")
wrong("cut off", lambda: profile()[:80])
wrong("a list", b"[]")
wrong("a number", b"7")
wrong("null", b"null")
wrong("not UTF-8", b'{"modality": "\xff\xfe"}')
wrong("nested 1,000,000 deep", b"[" * 1_000_000)
wrong("nested objects", b'{"modality":' * 300_000)
wrong("20 MB", lambda: b" " * (20 << 20), "too many for a profile")
wrong("modality a list", lambda: profile(modality=["rgb"]))
wrong("more entries", lambda: profile(colour="green"))
wrong("no channels", lambda: profile(channels=[]))
wrong("other roles", lambda: profile(roles=["a", "b", "c"]))
wrong("sees nothing", lambda: profile(sees=[]))
wrong("display of nonsense", lambda: profile(display=[7, 8, 9]))
wrong("unknown formula", lambda: seen(formula="magic"))
wrong("channel 1e9", lambda: seen(of=[10**9]))
wrong("channel -1", lambda: seen(of=[-1]))
wrong("of nothing", lambda: seen(of=[]))
wrong("unknown parameter", lambda: seen(parameters={"speed": 1}))
wrong("range upside down", lambda: seen(normalisation={"method": "range", "low": 5, "high": 1}))
wrong("range of NaN", lambda: seen(normalisation={"method": "range", "low": float("nan"), "high": 1}))
wrong("range of infinities", lambda: seen(normalisation={"method": "range", "low": -1e999, "high": 1e999}))
wrong("percentiles of 500", lambda: seen(normalisation={"method": "percentile", "low": -5, "high": 500}))
wrong("unknown normalisation", lambda: seen(normalisation={"method": "sorcery"}))
wrong("pseudo-RGB out of range", lambda: profile(pseudo_rgb=[0, 1, 99]))
wrong("role of 5 MB", lambda: profile(roles="x" * (5 << 20)))
wrong("10,000 faults", lambda: profile(sees=[{}] * 10_000))
