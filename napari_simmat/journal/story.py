"""What a project knows of one image: its objects, what was clicked, the adapter in use, and how it came to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_simmat.journal.facts import Facts, with_facts
from napari_simmat.journal.snapshots import Snapshot
from napari_simmat.journal.steps import ObjectState, Step, fold
from napari_simmat.journal.store import Reading


@dataclass(frozen=True)
class Former:
    """Work on what an image was before its file changed.

    Attributes
    ----------
    identity : str
        Of the image as it was.
    objects : int
    time : float
        Of the last change, in seconds since 1970.
    shape : (int, int)
    """

    identity: str
    objects: int
    time: float
    shape: tuple[int, int]


@dataclass(frozen=True)
class Story:
    """What is known of one image.

    Attributes
    ----------
    states : tuple of ObjectState
        The objects that stood at the end, by label.
    highest_label : int
        The highest label ever given, so that none is given twice.
    done, undone : tuple of Step
        What can be undone and redone, newest last.
    prompt, version : dict or None
        The clicks and the adapter in use at the end.
    versions : tuple of dict
        All adapters that were ever in use.
    time : float
        Of the last gesture, in seconds since 1970; 0 if there was none.
    number : int
        Of the last step.
    problems : tuple of str
        One sentence for what could not be read.
    former : Former or None
        Work on another content of the same file.
    is_foreign : bool
        Whether the objects come from an earlier release and have to be written here.
    facts : dict
        What is known of the image beside that, as `napari_simmat.journal.facts` says.
    bridges : int
        How many steps and states are lost that no step made up for yet: one that says all that is known now has to.
    """

    states: tuple[ObjectState, ...] = ()
    highest_label: int = 0
    done: tuple[Step, ...] = ()
    undone: tuple[Step, ...] = ()
    prompt: Mapping[str, Any] | None = None
    version: Mapping[str, Any] | None = None
    versions: tuple[Mapping[str, Any], ...] = ()
    time: float = 0.0
    number: int = 0
    problems: tuple[str, ...] = ()
    former: Former | None = None
    is_foreign: bool = False
    bridges: int = 0
    facts: Facts = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could come back."""
        return not self.states and self.prompt is None and not self.done and not self.undone


def tell(reading: Reading, snapshot: Snapshot | None = None, problems: tuple[str, ...] = ()) -> Story:
    """The story that steps tell, begun from a snapshot where some of them are lost.

    Parameters
    ----------
    reading : Reading
        All steps of one image that are whole.
    snapshot : Snapshot, optional
        What it held up to a step is believed instead of the steps up to that one.
    problems : tuple of str
    """
    objects = {} if snapshot is None else {state.label: state for state in snapshot.states}
    highest = 0 if snapshot is None else snapshot.highest
    prompt = None if snapshot is None else snapshot.prompt
    version = None if snapshot is None else snapshot.version
    versions = dict[str, Mapping[str, Any]]()
    begin = 0 if snapshot is None else snapshot.number
    if version is not None:
        versions[version["fingerprint"]] = version
    time, number = (0.0, 0) if snapshot is None else (snapshot.time, snapshot.number)
    facts: Facts = {}
    for step in reading.steps:
        for ref in (step.version.before, step.version.after) if step.version is not None else ():
            if ref is not None:
                versions.setdefault(ref["fingerprint"], ref)
        highest = max([highest, *(change.label for change in step.changes)])
        facts = with_facts(facts, step)  # snapshots do not hold them
        if step.number <= begin:
            continue
        if step.details.get("all"):
            objects.clear()
        for change in step.changes:
            if change.after is None:
                objects.pop(change.label, None)
            else:
                objects[change.label] = change.after
        prompt = step.prompt.after if step.prompt is not None else prompt
        version = step.version.after if step.version is not None else version
        time, number = step.time, step.number
    done, undone = fold(reading.steps)
    return Story(
        tuple(objects[label] for label in sorted(objects)),
        highest,
        tuple(done),
        tuple(undone),
        prompt,
        version,
        tuple(versions.values()),
        time,
        number,
        problems,
        facts=facts,
    )
