"""A tiny teacher, trained for real: a convolutional image encoder and a text transformer, by contrast (InfoNCE).

What CLIP (arXiv 2103.00020) is, a thousand times smaller and of one small world: it stands in where no CLIP is at hand,
to prove that names learnt from such a teacher carry over to combinations that nobody has shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_simmat.evaluation.names.scenes import Combination, Vocabulary, draw_one, draw_scene
from napari_simmat.models.seeding import seeded
from napari_simmat.training.naming.teachers import BACKGROUND

__all__ = ["SENTENCES", "DualEncoder", "train_dual_encoder"]

SENTENCES = ("{}", "a {}", "a photo of a {}", "a picture of a {}")

_LONGEST = 24  # words of a caption
_BATCH = 48
_SCENES = 12  # of each batch beside the single things


class DualEncoder(nn.Module):
    """Pictures and sentences as directions in one space; a `Teacher`.

    Parameters
    ----------
    vocabulary : Vocabulary
        Its words are known, and those of `SENTENCES`.
    side : int
        Rows and columns of pictures.
    width : int
        Channels of the first convolution; the text space has four times as many dimensions.
    """

    def __init__(self, vocabulary: Vocabulary, *, side: int = 48, width: int = 24) -> None:
        super().__init__()
        self.name, self.side = "a tiny dual encoder", side
        words = [*vocabulary.shapes, *vocabulary.colours, *vocabulary.textures]
        words += ["a", "photo", "of", "picture", "and", BACKGROUND]
        self.words = {word: number for number, word in enumerate(dict.fromkeys(words), 2)}
        dim = 4 * width
        channels = (3, width, 2 * width, 4 * width, 4 * width)
        self.picture = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.GELU())
                for a, b in pairwise(channels)
            )
        )
        self.out = nn.Linear(2 * channels[-1], dim)
        self.token = nn.Embedding(len(self.words) + 2, dim)
        self.place = nn.Parameter(0.02 * torch.randn(_LONGEST, dim))
        self.text = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout=0.0, batch_first=True, norm_first=True),
            2,
            enable_nested_tensor=False,
        )
        self.text_out = nn.Linear(dim, dim)
        self.scale = nn.Parameter(torch.tensor(2.3))

    def pictures(self, pictures: Tensor) -> Tensor:
        """Directions of pictures (N, 3, side, side), 0 to 1."""
        x = self.picture(2 * pictures - 1)
        return F.normalize(self.out(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)), dim=-1)

    def sentences(self, texts: Sequence[str]) -> Tensor:
        """Directions of sentences; words that it does not know are all the same to it."""
        tokens = torch.zeros(len(texts), _LONGEST, dtype=torch.long)
        for row, text in enumerate(texts):
            for column, word in enumerate(text.lower().replace(".", "").split()[:_LONGEST]):
                tokens[row, column] = self.words.get(word, 1)
        empty = tokens == 0
        x = self.text(self.token(tokens) + self.place, src_key_padding_mask=empty)
        kept = (~empty).float()[..., None]
        mean = (x * kept).sum(1) / kept.sum(1)
        return F.normalize(self.text_out(mean), dim=-1)

    @torch.no_grad()
    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """As `Teacher`."""
        return self.pictures(pictures)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """As `Teacher`."""
        return self.sentences(texts)


@dataclass(frozen=True, eq=False)
class _Pool:
    """Pictures drawn beforehand, with what is on each."""

    pictures: NDArray[np.uint8]
    things: list[tuple[Combination, ...]]
    of: list[list[int]]
    """Numbers of the pictures of each single thing."""
    scenes: list[int]
    grounds: list[int]
    """With nothing on them."""


def train_dual_encoder(
    vocabulary: Vocabulary,
    seed: int,
    *,
    steps: int = 600,
    each: int = 40,
    side: int = 48,
    width: int = 24,
    learning_rate: float = 2e-3,
) -> DualEncoder:
    """Train one on what the vocabulary does not hold out.

    Parameters
    ----------
    vocabulary : Vocabulary
    seed : int
    steps : int
    each : int
        Pictures of each combination.
    side, width : int
        As `DualEncoder`.
    learning_rate : float
    """
    rng = np.random.default_rng(seed)
    pool = _drawn(vocabulary, rng, each, side)
    with seeded(seed):
        model = DualEncoder(vocabulary, side=side, width=width)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=max(2, steps), pct_start=0.1
    )
    model.train()
    for _ in range(steps):
        numbers = _batch(pool, rng)
        pictures = torch.from_numpy(pool.pictures[numbers].transpose(0, 3, 1, 2).copy()).float() / 255
        if rng.random() < 0.5:
            pictures = pictures.flip(3)
        captions = [_caption(pool.things[k], rng) for k in numbers]
        logits = model.pictures(pictures) @ model.sentences(captions).T * model.scale.exp().clamp(max=50)
        truth = torch.arange(len(numbers))
        loss = (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def _drawn(vocabulary: Vocabulary, rng: np.random.Generator, each: int, side: int) -> _Pool:
    learnt = vocabulary.learnt
    pictures: list[NDArray[np.uint8]] = []
    things: list[tuple[Combination, ...]] = []
    of: list[list[int]] = [[] for _ in learnt]
    for number, thing in enumerate(learnt):
        for _ in range(each):
            others = [learnt[k] for k in rng.integers(len(learnt), size=rng.integers(3))]
            of[number].append(len(pictures))
            pictures.append(draw_one(thing, rng, side=side, others=others))
            things.append((thing,))
    scenes = []
    for _ in range(4 * each):
        shown = [learnt[k] for k in rng.permutation(len(learnt))[: rng.integers(2, 4)]]
        scenes.append(len(pictures))
        pictures.append(draw_scene(shown, rng, side=side).rgb)
        things.append(tuple(shown))
    grounds = list(range(len(pictures), len(pictures) + each))
    pictures += [draw_scene((), rng, side=side).rgb for _ in grounds]
    things += [()] * len(grounds)
    return _Pool(np.stack(pictures), things, of, scenes, grounds)


def _batch(pool: _Pool, rng: np.random.Generator) -> list[int]:
    """Different things, so that no other caption in the batch is right, too; and some scenes."""
    chosen = rng.permutation(len(pool.of))[:_BATCH]
    ones = [int(rng.choice(pool.of[k])) for k in chosen]
    ones.append(int(rng.choice(pool.grounds)))
    return ones + [int(k) for k in rng.choice(pool.scenes, _SCENES, replace=False)]


def _caption(things: Sequence[Combination], rng: np.random.Generator) -> str:
    words = " and a ".join(things[k].name for k in rng.permutation(len(things))) or BACKGROUND
    return SENTENCES[int(rng.integers(len(SENTENCES)))].format(words)
