"""The options of `finetune` that few people need, on a panel of their own in its help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_PANEL = "Advanced"
_ROUGH = "Without masks"


class Labels(StrEnum):
    """What is learnt from."""

    masks = "masks"
    rough = "rough"


LabelKind = Annotated[
    Labels,
    typer.Option(
        "--labels",
        help="masks: instances/. rough: points, boxes, scribbles and outlines in prompts/STEM.json, without any mask.",
    ),
]
Robust = Annotated[
    bool,
    typer.Option(
        "--robust",
        help="With --labels rough: also see degraded images as clean ones, for worse images to come.",
        rich_help_panel=_ROUGH,
    ),
]
PromptCheck = Annotated[
    bool,
    typer.Option(
        "--prompt-check/--no-prompt-check",
        help="With --labels rough: refuse prompts that fit their images no better than those of others.",
        rich_help_panel=_ROUGH,
    ),
]


class Recipe(StrEnum):
    """How steps are taken."""

    interactive = "interactive"
    paper = "paper"


RecipeName = Annotated[
    Recipe,
    typer.Option(
        "--recipe",
        help="interactive: as people click, with corrections. paper: as SimMAT was trained, on whole images.",
        rich_help_panel=_PANEL,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs",
        min=1,
        metavar="N",
        help="Passes over the images, for --recipe paper; 51 without it.",
        rich_help_panel=_PANEL,
    ),
]
Ema = Annotated[
    bool | None,
    typer.Option(
        "--ema/--no-ema",
        help="Take the moving average of the trained weights; the recipe's own choice without it.",
        rich_help_panel=_PANEL,
    ),
]
EarlyStopping = Annotated[
    bool | None,
    typer.Option(
        "--early-stopping/--no-early-stopping",
        help="Let objects that are neither learnt from nor judged by decide when it is enough; the recipe's own choice "
        "without it.",
        rich_help_panel=_PANEL,
    ),
]
L2 = Annotated[
    float,
    typer.Option(
        "--l2",
        min=0.0,
        metavar="X",
        help="Pull towards the weights that training starts from, against forgetting; 0.1 is gentle, 10 strong.",
        rich_help_panel=_PANEL,
    ),
]
SplitHalf = Annotated[
    bool,
    typer.Option(
        "--split-half",
        help="Learn weights from one half of the objects, gates and tokens from the other.",
        rich_help_panel=_PANEL,
    ),
]
Adversarial = Annotated[
    float,
    typer.Option(
        "--adversarial",
        min=0.0,
        max=1.0,
        metavar="X",
        help="Learn to withstand a step of this size against the model, in what the transfer layer gives; 0.05 is a "
        "twentieth of a picture's contrast. Takes twice the time.",
        rich_help_panel=_PANEL,
    ),
]
Experts = Annotated[
    bool,
    typer.Option(
        "--experts",
        help="Train an expert for each group of channels, such as RGB, thermal, depth, so that the adapter goes on "
        "working where a group is missing. Takes as many times longer as there are groups, and once more.",
        rich_help_panel=_PANEL,
    ),
]
Replay = Annotated[
    Path | None,
    typer.Option(
        "--replay",
        metavar="DATASET",
        help="Labelled images of earlier rounds, to be learnt from beside the new ones, so that they are not forgotten.",
        rich_help_panel=_PANEL,
    ),
]
Align = Annotated[
    bool,
    typer.Option(
        "--align",
        help="First learn without labels what red, green and blue say of the other channels; where DATASET has no "
        "instances/, that alone.",
        rich_help_panel=_PANEL,
    ),
]
AlignSteps = Annotated[
    int | None,
    typer.Option(
        "--align-steps",
        min=1,
        metavar="N",
        help="Steps of that; by the number of images without it.",
        rich_help_panel=_PANEL,
    ),
]
