"""What an annotator learns from without masks: what was shown of objects, and the clicks of those that were accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_simmat.errors import TrainingError
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import Prompt
from napari_simmat.training.rough import RoughLabels, RoughObject, RoughSettings
from napari_simmat.training.rough.files import from_dict, to_dict

if TYPE_CHECKING:
    from napari_simmat._annotator.objects import ObjectBook

NOTHING_ROUGH = (
    "There are no rough labels to learn from; put points, boxes, lines or outlines of objects into layers, or accept "
    "objects by clicks first."
)


def rough_labels(
    image: MultiChannelImage, objects: Sequence[RoughObject], books: Sequence[ObjectBook]
) -> list[RoughLabels]:
    """What was shown in this image, then what accepted objects of all images were clicked with.

    Parameters
    ----------
    image : MultiChannelImage
        The one at hand.
    objects : sequence of RoughObject
        Shown in it.
    books : sequence of ObjectBook
        Accepted objects of images, this one's perhaps among them.

    Raises
    ------
    TrainingError
        Something lies outside of the image.
    """
    found: dict[str, tuple[MultiChannelImage, list[RoughObject]]] = {
        image.content_key(): (image, list(objects))
    }
    for book in books:
        own = found.setdefault(book.image.content_key(), (book.image, []))[1]
        for note in book.in_order().values():
            if note.prompt is not None and (clicked := _of_prompt(note.prompt)) is not None:
                own.append(clicked)
    return [RoughLabels(each, tuple(shown)) for each, shown in found.values() if shown]


def rough_details(
    labels: Sequence[RoughLabels],
    image: MultiChannelImage,
    *,
    mode: str,
    settings: RoughSettings | None,
    after: int,
) -> dict[str, Any]:
    """What the journal keeps of a training from them: all that was shown in this image, and which others there were."""
    own = [each for labelled in labels if labelled.image is image for each in labelled.objects]
    return {
        "mode": "rough",
        "through": mode,
        "objects": [to_dict(each) for each in own],
        "settings": None if settings is None else asdict(settings),
        "after": after,
        "images": sorted({labelled.image.identity for labelled in labels}),
    }


def told_again(details: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Annotator.adapt_from_rough`, from what the journal kept."""
    settings = details.get("settings")
    return {
        "objects": [from_dict(each) for each in details.get("objects", ())],
        "with_accepted": False,
        "mode": "deep" if details.get("through") == "deep" else "quick",
        "settings": None if settings is None else RoughSettings(**settings),
    }


def _of_prompt(prompt: Prompt) -> RoughObject | None:
    """The clicks and the box of an accepted object; None where they do not say where it is."""
    try:
        return RoughObject(points=prompt.points, signs=prompt.labels, box=prompt.box)
    except TrainingError:
        return None
