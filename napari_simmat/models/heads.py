"""Heads: what an adapter learnt to say of an embedding, beside the masks. Each has a name, settings and tensors.

A head changes nothing of the embedding nor of the masks, so it is no part of what embeddings are cached under; but it is
part of the adapter, so a version with another head is another version. In an adapter's file a head ``names`` is the
tensors ``heads.names.<tensor>`` and an entry in the metadata ``heads``, a JSON object from name to kind and settings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from napari_simmat.errors import AdapterError
from napari_simmat.models.own_weights import rounded

__all__ = ["PREFIX", "Head", "fingerprint_with", "heads_from_file", "heads_in_file", "metadata_of"]

PREFIX = "heads."

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_MOST_HEADS = 32

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class Head:
    """One head of an adapter. Not to be changed: a training makes a new one.

    Attributes
    ----------
    kind : str
        What it is, such as "names": who reads it knows what `config` and `tensors` mean.
    config : dict
        Settings as plain data (JSON).
    tensors : dict of str to Tensor
        float32 on the CPU, rounded as they are saved (see `own_weights.rounded`).
    """

    kind: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Head:
        """A head of what was learnt, rounded so that a file gives the same answers."""
        kept = {name: rounded(t.detach().cpu()).clone().contiguous() for name, t in tensors.items()}
        return cls(kind, json.loads(json.dumps(dict(config))), kept)

    def filled(self, make: Callable[[], Module]) -> Module:
        """A module with these tensors as its weights, ready to answer.

        Sizes are compared before memory is taken, so settings that say more than the file holds cost nothing.

        Parameters
        ----------
        make : callable
            Makes the module of `config`, whose numbers it has to check: a million layers cost time even where their
            weights cost no memory. What is no weight of it (a buffer that is not kept) is not filled.

        Raises
        ------
        AdapterError
            The tensors are not those of this module.
        """
        try:
            with torch.device("meta"):
                module = make()
            module.load_state_dict(dict(self.tensors), assign=True)
        except (RuntimeError, TypeError, ValueError) as error:
            raise AdapterError(
                f"The head of kind {self.kind[:40]!r} in this adapter is damaged "
                f"({str(error).splitlines()[-1].strip()[:100]}); make it anew or load another adapter."
            ) from error
        return module.requires_grad_(False).eval()


def fingerprint_with(fingerprint: str, heads: Mapping[str, Head]) -> str:
    """The fingerprint of an adapter, given that of all but its heads."""
    if not heads:
        return fingerprint
    digest = hashlib.sha256(fingerprint.encode())
    for name, head in sorted(heads.items()):
        digest.update(json.dumps([name, head.kind, head.config], sort_keys=True).encode())
        for key, tensor in sorted(head.tensors.items()):
            digest.update(f"{key} {tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def metadata_of(heads: Mapping[str, Head]) -> dict[str, str]:
    """What a file's metadata say of the heads."""
    if not heads:
        return {}
    return {
        "heads": json.dumps({name: {"kind": h.kind, "config": dict(h.config)} for name, h in heads.items()})
    }


def heads_in_file(heads: Mapping[str, Head]) -> dict[str, Tensor]:
    """The tensors of all heads under the names that they have in a file."""
    return {
        f"{PREFIX}{name}.{key}": tensor
        for name, head in heads.items()
        for key, tensor in head.tensors.items()
    }


def heads_from_file(text: str | None, tensors: Mapping[str, Tensor]) -> dict[str, Head]:
    """What `metadata_of` and `heads_in_file` gave.

    Raises
    ------
    ValueError
        One sentence without its end says what is wrong.
    """
    told = {} if text is None else json.loads(text)
    if not isinstance(told, dict) or len(told) > _MOST_HEADS:
        raise ValueError("its heads are no list of at most 32")
    own: dict[str, dict[str, Tensor]] = {name: {} for name in told}
    for path, tensor in tensors.items():
        name, _, key = path.removeprefix(PREFIX).partition(".")
        if name not in own or not key:
            raise ValueError(f"nothing is said of {path[:60]!r}")
        own[name][key] = tensor.detach().to("cpu", torch.float32).clone().contiguous()
    heads = {}
    for name, entry in told.items():
        if (
            not _NAME.fullmatch(name)
            or not isinstance(entry, dict)
            or not isinstance(entry.get("kind"), str)
            or not isinstance(entry.get("config"), dict)
        ):
            raise ValueError(f"its head {name[:40]!r} has no kind and settings")
        heads[name] = Head(entry["kind"], entry["config"], own[name])
    return heads
