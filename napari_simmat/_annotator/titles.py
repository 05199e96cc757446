"""Gestures in words for people."""

from __future__ import annotations

from pathlib import Path

from napari_simmat.journal import Step, Was

_SHOWN = 3


def title_of(step: Step) -> str:
    """What a gesture was, for a list: "object 5 accepted"."""
    labels = sorted({change.label for change in step.changes})
    prompt, version = step.prompt, step.version
    if step.kind == "undo":  # told of what was undone, not of what became of it
        prompt = None if prompt is None else prompt.reversed
        version = None if version is None else version.reversed
    match step.what:
        case "prompt":
            return _clicks(prompt)
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
        case "name":
            pairs = [change.reversed if step.kind == "undo" else change for change in step.changes]
            classes = {pair.after.class_name for pair in pairs if pair.after is not None}
            return f"{_objects(labels)} {'named' if len(classes) != 1 else f'called {classes.pop()}'}"
        case "set aside":
            return f"{_objects(labels)} set aside"
        case "import":
            return f"{_objects(labels)} taken over"
        case "train":
            mode = step.details.get("mode", "training")
            name = None if version is None or version.after is None else version.after["name"]
            return f"trained: {name}" if name else f"{mode} training, not better"
        case "adapter":
            both = () if version is None else (version.before, version.after)
            names = [str(each["name"]) for each in both if each is not None]
            return f"model: {' to '.join(names)}"
        case "classes":
            names = [name.removeprefix("class ") for name in step.details.get("facts", ())]
            return f"classes changed: {', '.join(names)}" if names else "classes changed"
        case "refuse":
            count = len(step.details.get("facts", ()))
            return f"{count} proposal{'' if count == 1 else 's'} rejected"
        case "complete":
            before, after = step.details.get("facts", {}).get("complete", (None, None))
            is_complete = before if step.kind == "undo" else after
            return "image marked as complete" if is_complete else "image not complete any more"
        case "export":
            return f"exported to {Path(str(step.details.get('path', ''))).name}"
    return step.what


def _clicks(prompt: Was | None) -> str:
    before, after = (None, None) if prompt is None else (prompt.before, prompt.after)
    if after is None:
        return "click"
    if after.get("box") is not None and (before is None or before.get("box") != after.get("box")):
        return "box"
    return f"click {len(after.get('points') or ())}"


def _objects(labels: list[int]) -> str:
    if not labels:
        return "nothing"
    if len(labels) == 1:
        return f"object {labels[0]}"
    if len(labels) > _SHOWN:
        return f"{len(labels)} objects"
    return f"objects {', '.join(map(str, labels[:-1]))} and {labels[-1]}"
