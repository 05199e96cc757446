"""What an adapter says of itself."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrainingRun(BaseModel):
    """One round of training: what was done and what it brought."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    mode: str = Field(
        description="'quick' (the late part, on cached features), 'deep' (MAT and whole encoder), 'align' (the same, "
        "without labels) or 'rough' (from points, boxes, scribbles and outlines)."
    )
    recipe: str = Field(default="interactive", description="How it was trained: 'interactive' or 'paper'.")
    options: dict[str, bool | int | float | str] = Field(
        default={}, description="What else was set otherwise than by default."
    )
    strategy: str = Field(default="lora", description="What was trained, such as 'lora' or 'mlp:width=16'.")
    steps: int = Field(description="Optimiser steps taken.")
    best_step: int | None = Field(
        default=None, description="The step whose weights were taken, where objects watched the training."
    )
    learning_rate: float = Field(description="Peak learning rate.")
    seed: int = Field(description="Seed of everything random.")
    seconds: float = Field(description="Wall-clock time of the whole round, the gate included.")
    seconds_per_step: float = Field(description="Mean wall-clock time of one step.")
    trainable_parameters: int = Field(description="How many numbers were trained.")
    loss_first: float = Field(description="Mean loss of the first tenth of the steps.")
    loss_last: float = Field(description="Mean loss of the last tenth of the steps.")
    losses: tuple[float, ...] = Field(description="Loss of every step.")
    peak_rss_mb: float = Field(description="Largest resident memory of the process so far, in MB.")
    device: str = Field(description="Where it ran.")
    images: int = Field(description="Images that the objects come from.")
    objects: int = Field(description="Objects that were learnt from.")
    watching: int = Field(
        default=0, description="Objects that only decided when to stop, neither learnt from nor judged by."
    )
    held_out: int = Field(
        description="Objects that judged the result; of fewer than six in all, learnt from, too, once it was kept."
    )
    held_out_before: float | None = Field(description="One-click mean IoU on the held-out objects before.")
    held_out_after: float | None = Field(description="One-click mean IoU on the held-out objects after.")
    distance_before: float | None = Field(
        default=None,
        description="Where embeddings were aligned: share of the variance of SAM's embedding of the colours that was "
        "not explained without them, on held-out images, before.",
    )
    distance_after: float | None = Field(default=None, description="The same after.")
    prompts_fit: float | None = Field(
        default=None,
        description="Rough labels: how often a pointed place is more like the others than a random place is; 0.5 by "
        "chance.",
    )
    prompts_kept_before: float | None = Field(
        default=None,
        description="Rough labels: share of objects whose mask keeps to all that was said of them, before. No accuracy.",
    )
    prompts_kept_after: float | None = Field(default=None, description="The same after.")
    anchor_iou: float | None = Field(
        default=None,
        description="Rough labels: the drift, as mean IoU of the masks for the prompts with those before the training.",
    )
    kept: bool = Field(description="Whether the new version was kept.")
    reason: str = Field(description="The verdict in one sentence, for people.")


class AdapterCard(BaseModel):
    """Where an adapter comes from and what it fits.

    What a later version adds to a card is passed over; what cannot be read any more gets another format name.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(default="untrained", description="What people call it.")
    created: str = Field(default="", description="Time of the last training, ISO 8601, UTC.")
    software: str = Field(default="", description="napari-simmat and its version.")
    base_model: str = Field(description="Name of the base model it belongs to.")
    base_sha256: str = Field(description="Hash of that model's file.")
    mat: str = Field(default="mat", description="Transfer layer, such as 'mat' or 'linear'.")
    strategy: str = Field(
        default="lora",
        description="Fine-tuning strategy of the last training; what others left in the adapter stays in it.",
    )
    rank: int = Field(default=4, ge=1, description="Rank of the LoRA updates, where there are any.")
    members: tuple[str, ...] = Field(
        default=(),
        description="Of modality experts: the groups of channels that have one, and 'all together'; none: no experts.",
    )
    missing: tuple[str, ...] = Field(
        default=(), description="Groups of channels that its experts are not to look at."
    )
    history: tuple[TrainingRun, ...] = Field(default=(), description="Rounds of training, oldest first.")
