"""Gestures in words for people."""

from __future__ import annotations

from pathlib import Path

from napari_simmat.journal import Step

_SHOWN = 3


def title_of(step: Step) -> str:
    """What a gesture was, for a list: "object 5 accepted"."""
    labels = sorted({change.label for change in step.changes})
    version = step.version
    if version is not None and step.kind == "undo":  # told of what was undone, not of what became of it
        version = version.reversed
    match step.what:
        case "prompt":
            return _clicks(step)
        case "candidate":
            return "another candidate chosen"
        case "reject":
            return "clicks dropped"
        case "accept":
            return f"{_objects(labels)} accepted"
        case "edit":
            return f"{_objects(labels)} edited"
        case "erase":
            return f"{_objects(labels)} erased"
        case "merge":
            return f"{_objects(labels)} merged"
        case "set aside":
            return f"{_objects(labels)} set aside"
        case "import":
            return f"{_objects(labels)} taken over"
        case "train":
            mode = step.details.get("mode", "training")
            name = None if version is None or version.after is None else version.after["name"]
            return f"trained: {name}" if name else f"{mode} training, not better"
        case "adapter":
            before, after = (
                (None, None) if step.version is None else (step.version.before, step.version.after)
            )
            names = [str(each["name"]) for each in (before, after) if each is not None]
            return f"model: {' to '.join(names)}"
        case "export":
            return f"exported to {Path(str(step.details.get('path', ''))).name}"
    return step.what


def _clicks(step: Step) -> str:
    after = step.prompt.after if step.prompt is not None else None
    before = step.prompt.before if step.prompt is not None else None
    newer = max((each for each in (before, after) if each is not None), key=_size, default=None)
    if newer is None:
        return "click"
    count = len(newer.get("points") or ())
    is_box = newer.get("box") is not None and (before is None or before.get("box") != newer.get("box"))
    return "box" if is_box and _size(newer) != count else f"click {count}"


def _size(prompt: object) -> int:
    if not isinstance(prompt, dict):
        return 0
    return len(prompt.get("points") or ()) + (prompt.get("box") is not None)


def _objects(labels: list[int]) -> str:
    if not labels:
        return "nothing"
    if len(labels) == 1:
        return f"object {labels[0]}"
    if len(labels) > _SHOWN:
        return f"{len(labels)} objects"
    return f"objects {', '.join(map(str, labels[:-1]))} and {labels[-1]}"
