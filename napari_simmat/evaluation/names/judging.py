"""How good names are, and what learning them costs: naming masks, segmenting by text, and one click as before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_simmat.evaluation.names.dual_encoder import SENTENCES
from napari_simmat.evaluation.names.scenes import Combination, Scene
from napari_simmat.images import MultiChannelImage, as_image
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.inference.by_text import map_on_image, prompts_of_map
from napari_simmat.inference.naming import Naming
from napari_simmat.models import Adapter
from napari_simmat.training.naming import Teacher, texts_of
from napari_simmat.training.naming.views import crops_of, picture_of

__all__ = ["Pictured", "by_text", "clicked", "named", "named_by_teacher", "pictured"]

SMALLEST = 30
"""Pixels; smaller objects are passed over, as in `evaluate`."""


class Pictured:
    """A scene as an image, with a mask for each thing.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        self.image: MultiChannelImage = as_image(
            np.ascontiguousarray(scene.rgb.transpose(2, 0, 1)), channel_axis=0, modality="rgb"
        )
        self.things = scene.things
        self.masks: list[NDArray[np.bool_]] = [scene.labels == k for k in range(1, len(scene.things) + 1)]


def pictured(scenes: Sequence[Scene]) -> list[Pictured]:
    """Each scene as an image."""
    return [Pictured(scene) for scene in scenes]


def segmenter_of(image: MultiChannelImage, adapter: Adapter) -> Segmenter:
    """At the size of a draft, 448 pixels: scenes are drawn so large."""
    return Segmenter(image, adapter=adapter, draft=True)


def named(scenes: Sequence[Pictured], adapter: Adapter) -> list[bool]:
    """Whether each mask is given its name, of all that the adapter knows."""
    right = []
    for scene in scenes:
        naming = Naming(segmenter_of(scene.image, adapter))
        ranked = naming.rank(dict(enumerate(scene.masks)))
        right += [each.name == thing.name for each, thing in zip(ranked, scene.things, strict=True)]
    return right


def named_by_teacher(
    scenes: Sequence[Pictured], teacher: Teacher, names: Sequence[Combination]
) -> list[bool]:
    """The same by the teacher itself, which sees each object cut out: what the student is taught to say."""
    texts = texts_of(teacher, [each.name for each in names], SENTENCES)
    right = []
    for scene in scenes:
        crops = crops_of(picture_of(scene.image), scene.masks, teacher.side)
        found = teacher.embed_pictures(crops).reshape(2, len(scene.masks), -1).mean(0) @ texts.T
        chosen = [names[int(k)].name for k in found.argmax(1)]
        right += [name == thing.name for name, thing in zip(chosen, scene.things, strict=True)]
    return right


def by_text(
    scenes: Sequence[Pictured], adapter: Adapter, *, share: float, composed_share: float
) -> tuple[list[float], list[float]]:
    """IoU of what is found of each thing by its name: by the map alone, and by map and decoder composed."""
    alone, composed = [], []
    for scene in scenes:
        segmenter = segmenter_of(scene.image, adapter)
        naming = Naming(segmenter)
        for thing, truth in zip(scene.things, scene.masks, strict=True):
            values = naming.text_map(thing.name)
            alone.append(iou(map_on_image(values, naming.frame, share=share), truth))
            union = np.zeros(truth.shape, bool)
            for prompt in prompts_of_map(values, naming.frame, share=composed_share):
                union |= segmenter.answer(prompt).mask()
            composed.append(iou(union, truth))
    return alone, composed


def clicked(segmenter: Segmenter, masks: Sequence[NDArray[np.bool_]]) -> list[float]:
    """IoU of the mask after one click on the deepest point of each object."""
    found = []
    for mask in masks:
        if mask.sum() < SMALLEST:
            continue
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        found.append(iou(segmenter.answer(Prompt().with_point(float(y), float(x))).mask(), mask))
    return found


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def transplanted(adapter: Adapter, image: MultiChannelImage) -> Adapter:
    """What the encoder learnt with one adapter, behind the untrained transfer layer of another image."""
    plain = Adapter.untrained(image)
    learnt = {k: v for k, v in adapter.tensors.items() if not k.startswith("mat.")}
    return Adapter(plain.profile, plain.card, plain.tensors | learnt)


def untaught(adapter: Adapter, names: Adapter, seed: int) -> Adapter:
    """The same head with random weights, on the frozen features, with the texts of an adapter that was taught."""
    from napari_simmat.models.name_head import NAMES, NameHead, Names, names_of, names_to_head

    taught = names_of(names.heads)
    assert taught is not None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = NameHead(taught.config)
    head.mean, head.scale = taught.head.mean, taught.head.scale  # the same frozen features
    return adapter.with_head(
        NAMES, names_to_head(Names(taught.config, head, taught.texts, taught.background))
    )
