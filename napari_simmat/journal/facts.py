"""What is known of an image beside its objects, clicks and adapter: facts by their names, as plain data.

A gesture that changes some of them tells in its details what each was before and is after, so that undo, redo and a
restart know it as they know objects: ``{"facts": {"complete": [None, True]}}``. None stands for a fact that there is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_simmat.journal.steps import Step

__all__ = ["Facts", "change_of", "reversed_facts", "with_facts"]

Facts = Mapping[str, Any]

_KEY = "facts"


def change_of(known: Facts, wanted: Facts) -> dict[str, Any]:
    """Details of a step that makes these facts of those known; None takes one away. Empty where nothing changes."""
    pairs = {name: [known.get(name), value] for name, value in wanted.items() if known.get(name) != value}
    return {_KEY: pairs} if pairs else {}


def reversed_facts(details: Mapping[str, Any]) -> dict[str, Any]:
    """Details of a step that takes back what a step with these details made of the facts."""
    pairs = _pairs(details)
    return {_KEY: {name: [after, before] for name, (before, after) in pairs.items()}} if pairs else {}


def with_facts(known: Facts, step: Step) -> dict[str, Any]:
    """The facts after a step."""
    facts = dict(known)
    for name, (_, after) in _pairs(step.details).items():
        if after is None:
            facts.pop(name, None)
        else:
            facts[name] = after
    return facts


def _pairs(details: Mapping[str, Any]) -> dict[str, Any]:
    """What a step says of facts; what somebody else's program wrote there is passed over."""
    pairs = details.get(_KEY)
    if not isinstance(pairs, Mapping):
        return {}
    return {str(name): pair for name, pair in pairs.items() if isinstance(pair, list) and len(pair) == 2}
