"""A first look at the images: whether the prompts belong to them, and how large objects are about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.inference import Frame, autocast, products
from napari_simmat.inference.frame import LOW
from napari_simmat.models import AdaptedSam
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.models.encoders import STRIDE
from napari_simmat.training.rough.belonging import Look
from napari_simmat.training.rough.pseudo import believe
from napari_simmat.training.rough.views import answer, known_of, valid_of
from napari_simmat.training.rough.windows import Place, RoughScenes
from napari_simmat.training.scenes import WINDOW
from napari_simmat.training.watch import Watch

_USUAL = 1 / 10  # of the frame's side, where nothing is believed


@dataclass(frozen=True, eq=False)
class Survey:
    """What was seen.

    Attributes
    ----------
    looks : list of Look
        Each image, as the model sees it.
    plain : list of Look
        The same by the values of its channels alone.
    sizes : list of float
        About how long an object is in each image, in pixels of the frame.
    """

    looks: list[Look]
    plain: list[Look]
    sizes: list[float]


@torch.no_grad()
def survey(anchor: AdaptedSam, scenes: RoughScenes, *, watch: Watch, device: torch.device) -> Survey:
    """Look at each image as a whole, at less than half the size where the encoder takes that."""
    side = anchor.sam.side
    window = min(WINDOW, side) if anchor.sam.encoder.flexible else side
    decoder = PromptDecoder(anchor.sam, products(device))
    looks, plain, sizes = [], [], []
    rng = np.random.default_rng(0)
    for scene, labels in enumerate(scenes.labels):
        watch.check()
        small = Frame(labels.image.shape, window).shape
        place = Place(Frame(labels.image.shape, side), (0, 0), small, window / side)
        seen = scenes.window(scene, place, rng, mirror=False)
        with autocast(device):
            embedding = anchor.late(anchor.early(seen.x[None].to(device, memory_format=torch.channels_last)))
        looks.append(Look(labels.image.shape, _directions(embedding[0].float(), small)))
        plain.append(Look(labels.image.shape, _directions(_values(seen.x), small)))
        told = [each.as_taught for each in seen.objects]
        if not told:
            sizes.append(side * _USUAL)
            continue
        answers, scores = answer(decoder, embedding, told, seen.offset, device)
        known = known_of(seen.objects, device)
        valid = valid_of(seen, known.shape[1:], device)
        found = believe(answers > 0, scores, known, [], valid, gate=True, choose=True)
        lengths = [_length(mask) for mask in found.masks[found.objects]]
        cell = LOW * side / window
        sizes.append(float(np.median(lengths)) * cell if lengths else side * _USUAL)
    return Survey(looks, plain, sizes)


def _directions(embedding: Tensor, shape: tuple[int, int]) -> NDArray[np.float32]:
    h, w = (-(-n // STRIDE) for n in shape)
    cells = embedding[:, :h, :w].permute(1, 2, 0)
    found: NDArray[np.float32] = F.normalize(cells - cells.mean((0, 1)), dim=2).cpu().numpy()
    return found


def _values(x: Tensor) -> Tensor:
    """Mean and spread (2 C, h, w) of the channels of a model input (C, H, W) in the embedding's cells, z-scored."""
    height, width = (-(-n // STRIDE) * STRIDE for n in x.shape[1:])
    x = F.pad(x[None], (0, width - x.shape[2], 0, height - x.shape[1]), mode="replicate")
    mean = F.avg_pool2d(x, STRIDE)
    spread = (F.avg_pool2d(x.square(), STRIDE) - mean.square()).clamp_min(0).sqrt()
    values = torch.cat([mean, spread], 1)[0]
    scale = values.flatten(1).std(1).clamp_min(1e-6)
    return values / scale[:, None, None]


def _length(mask: Tensor) -> int:
    """The longer side of a mask's box, in cells."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return int(max(rows.max() - rows.min(), columns.max() - columns.min())) + 1
