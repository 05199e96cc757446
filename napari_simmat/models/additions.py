"""What is learnt beside frozen modules: how it is put there, named, taken out and put back.

An `Addition` stands in the place of a module of the foundation model, keeps that module as its ``base`` and holds the
numbers that are learnt. Wherever additions stand, a module goes by the path that it has without them, so that what an
adapter holds does not depend on what else was put there, nor in which order.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Self

from torch import Tensor, nn

from napari_simmat.errors import AdapterError


class Addition(nn.Module):
    """A frozen module with something learnt beside it.

    Parameters
    ----------
    base : nn.Module
        Stays as it is.
    size : int
        How large what is learnt is, such as the rank of a LoRA; the first dimension of the tensor `lead`.
    """

    kind: ClassVar[str]
    """First word of its tensors' names in an adapter."""
    lead: ClassVar[str]
    """Name of the tensor whose first dimension is the size."""
    measure: ClassVar[str]
    """What the size is called."""
    base: nn.Module

    def __init__(self, base: nn.Module, size: int) -> None:
        super().__init__()
        self.base = base

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        """Whether it can stand beside such a module."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How large what is learnt is."""
        return len(self.learnt()[self.lead])

    def learnt(self) -> dict[str, nn.Parameter]:
        """What is learnt, by name."""
        return dict(self.named_parameters(recurse=False))

    @classmethod
    def restored(cls, base: nn.Module, tensors: Mapping[str, Tensor]) -> Self:
        """As it was when these tensors were taken out of it.

        Raises
        ------
        RuntimeError
            They do not fit the module.
        """
        lead = tensors[cls.lead]
        if lead.ndim != 2 or not lead.numel() or not cls.fits(innermost(base)):
            raise RuntimeError(f"{cls.kind} does not fit a {type(innermost(base)).__name__}")
        made = cls(base, len(lead))
        own = made.learnt()
        if own.keys() != tensors.keys():
            raise RuntimeError(f"{cls.kind} has {', '.join(tensors)}, expected {', '.join(own)}")
        for name, parameter in own.items():
            if parameter.shape != tensors[name].shape:
                raise RuntimeError(
                    f"{cls.kind} {name} has shape {tuple(tensors[name].shape)}, expected {tuple(parameter.shape)}"
                )
            parameter.data.copy_(tensors[name])
        return made


def innermost(module: nn.Module) -> nn.Module:
    """The module of the foundation model behind additions."""
    while isinstance(module, Addition):
        module = module.base
    return module


def walk(root: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Path as it is, path without additions, and module; an addition comes before what it stands beside."""
    for path, module in root.named_modules():
        yield path, ".".join(part for part in path.split(".") if part != "base"), module


def additions(root: nn.Module) -> Iterator[tuple[str, Addition]]:
    """Paths, without additions, of what has something learnt beside it."""
    for _, path, module in walk(root):
        if isinstance(module, Addition):
            yield path, module


def put(root: nn.Module, kind: type[Addition], patterns: Iterable[str], size: int) -> list[str]:
    """Put a fresh addition beside every module that it fits and whose path matches; what is there already stays.

    Returns
    -------
    list of str
        The paths, in order.

    Raises
    ------
    AdapterError
        An addition of this kind is there already, of another size.
    """
    wanted = tuple(patterns)
    present = {path: found for path, found in additions(root) if isinstance(found, kind)}
    other = {found.size for path, found in present.items() if matches(path, wanted)} - {size}
    if other:
        raise AdapterError(
            f"The adapter to go on from has {kind.kind} with {kind.measure} {other.pop()}, {kind.measure} {size} was "
            f"asked for; ask for the same, or begin without an adapter."
        )
    found: dict[str, tuple[str, nn.Module]] = {}
    for actual, path, module in walk(root):
        if path not in present and matches(path, wanted) and kind.fits(innermost(module)):
            found.setdefault(path, (actual, module))
    for actual, module in found.values():
        replace(root, actual, kind(module, size))
    return list(found)


def restore(root: nn.Module, kind: type[Addition], tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Put additions back as they were.

    Parameters
    ----------
    root : nn.Module
    kind : type of Addition
    tensors : mapping of str to mapping of str to Tensor
        What was learnt, by path and name.

    Raises
    ------
    KeyError, RuntimeError
        The tensors are of another network.
    """
    places: dict[str, tuple[str, nn.Module]] = {}
    for actual, path, module in walk(root):
        places.setdefault(path, (actual, module))
    for path, own in tensors.items():
        actual, module = places[path]
        replace(root, actual, kind.restored(module, own))


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path is one of the patterns, in which * stands for anything."""
    return any(fnmatch.fnmatchcase(path, p) for p in patterns)


def replace(root: nn.Module, path: str, module: nn.Module) -> None:
    """Put another module at a path."""
    owner, _, leaf = path.rpartition(".")
    setattr(root.get_submodule(owner), leaf, module)


def sharing_copy(module: nn.Module) -> nn.Module:
    """A copy of the module tree that shares all its parameters and buffers, so that modules can be exchanged in it.

    What `copy.deepcopy` would do with a memo of the tensors, in a tenth of the time and with a tenth of the objects, of
    which Python's collector makes a window wait.
    """
    return _copied(module, {})


def _copied(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    if id(module) in made:
        return made[id(module)]
    copied = type(module).__new__(type(module))
    made[id(module)] = copied
    # Tables and lists are the copy's own, what is in them is shared; but for the modules. (There are thousands of
    # tables, most of them empty: `copy.copy` takes several times as long as their own method.)
    copied.__dict__ = {
        name: value.copy() if isinstance(value, (dict, list, set)) else value
        for name, value in vars(module).items()
    }
    for name, child in copied._modules.items():
        copied._modules[name] = None if child is None else _copied(child, made)
    return copied
