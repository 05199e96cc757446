"""What the benchmark found: figures for machines as one JSON object, and a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

from napari_simmat.evaluation.speed.timing import median, quartiles

__all__ = ["GrowthRow", "ImageTimes", "Phase", "SpeedReport", "Times", "WindowFigures", "spread"]

Quartiles = tuple[float, float]

EVENT_PHASES = ("encode", "quick", "deep")
"""Phases of the window whose stalls count. While an image is opened napari makes layers, and while people click and
accept it paints them; those stalls are listed apart."""


class ImageTimes(Model):
    """Encoding of one image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    channels: int
    encode_ms: float = Field(description="Median.")
    stock_encode_ms: float = Field(description="Median.")


class Phase(Model):
    """How long the event loop of a window did not come round while something went on, in milliseconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    seconds: float = Field(description="How long it went on.")
    worst_ms: float
    p50_ms: float
    p99_ms: float
    over_16_ms: int = Field(description="Number of gaps of more than 16 ms, one frame at 60 Hz.")
    over_50_ms: int


class WindowFigures(Model):
    """What was measured in a real window, in a process of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phases: list[Phase]
    click_painted_ms: list[float] = Field(
        description="From the press of the button to the canvas drawn with the mask."
    )
    click_in_layer_ms: list[float] = Field(description="To the mask in the layer of the proposed mask.")
    first_click_ms: list[float] = Field(
        description="From a click right after an image was opened, not encoded yet, to its first mask."
    )
    open_to_mask_ms: list[float] = Field(
        description="From the image's layer being added to the mask of that click."
    )
    accept_ms: list[float] = Field(description="From the key to the object in the layer and in the journal.")
    accept_objects: int = Field(description="Objects that were in the layer before.")
    canvas: tuple[int, int] = Field(description="Width and height in pixels.")
    qt: str
    peak_rss_mb: float

    @property
    def worst_stall_ms(self) -> float:
        """The longest gap while an image is encoded, clicks are answered and trainings run."""
        return max(phase.worst_ms for phase in self.phases if phase.name in EVENT_PHASES)


class Times(Model):
    """One duration, repeated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    median: float
    quartiles: Quartiles
    runs: int


class GrowthRow(Model):
    """What something costs at one size, measured in a process of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str = Field(description="What grows: size, channels, objects, corrections or deep.")
    value: int
    times: list[Times] = Field(default=[], description="Names end in their unit.")
    peak_rss_mb: float | None = None
    peak_gpu_mb: float | None = None
    remark: str = ""

    def time(self, name: str) -> Times | None:
        """The duration of that name."""
        return next((each for each in self.times if each.name == name), None)


class SpeedReport(Model):
    """All figures of one run. What is None could not be measured or was not asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: int = Field(description="Encodings of each side; clicks are more.")
    encode_ms: float = Field(
        description="Median: from an image at the model's size to prompts being answered."
    )
    encode_ms_quartiles: Quartiles
    stock_encode_ms: float = Field(description="Median of `SamPredictor.set_image` on its colour picture.")
    stock_encode_ms_quartiles: Quartiles
    encode_ratio: float = Field(description="Stock's median divided by ours.")
    encode_by_image: list[ImageTimes]
    clicks: int
    click_ms: float = Field(description="Median: from a click to three masks of the image's size.")
    click_ms_quartiles: Quartiles
    stock_click_ms: float = Field(description="Median of `SamPredictor.predict` with its defaults.")
    stock_click_ms_quartiles: Quartiles
    click_ratio: float = Field(description="Stock's median divided by ours.")
    mask_iou_vs_stock: float = Field(
        description="Mean IoU of our mask and stock's after the same click on the same picture."
    )
    mask_iou_vs_stock_median: float
    mask_iou_vs_stock_worst: float
    miou: float = Field(description="Mean IoU of our masks and the objects, on the pictures.")
    stock_miou: float = Field(description="The same of stock's masks.")
    miou_channels: float = Field(description="The same of our masks on the images themselves, untrained.")
    objects: int = Field(description="Objects clicked for these means.")
    finetune_quick_s: float = Field(description="Median of whole quick trainings, gate included.")
    finetune_quick_s_quartiles: Quartiles
    finetune_quick_steps: int
    finetune_deep_s_per_step: float = Field(description="Median over short deep trainings.")
    finetune_deep_s_per_step_quartiles: Quartiles
    finetune_objects: int
    finetune_runs: int = Field(description="Repetitions of both trainings, fewer than of the rest.")
    event_loop_worst_stall_ms: float | None = None
    click_painted_ms: float | None = Field(default=None, description="Median.")
    click_painted_ms_quartiles: Quartiles | None = None
    first_click_ms: float | None = Field(default=None, description="Median.")
    first_click_ms_quartiles: Quartiles | None = None
    accept_ms: float | None = Field(default=None, description="Median.")
    accept_ms_quartiles: Quartiles | None = None
    window: WindowFigures | None = None
    growth: list[GrowthRow] = []
    device: str
    bfloat16: bool = Field(description="Whether the model answers in bfloat16; stock is in float32.")
    threads: int
    processor: str
    model: str
    images: list[str]
    software: dict[str, str]
    peak_rss_mb: float = Field(description="Of the process that held ours and stock's.")
    peak_gpu_mb: float | None = None
    seconds: float

    def with_window(self, window: WindowFigures) -> SpeedReport:
        """The report with what was measured in a window."""
        return self.model_copy(
            update={
                "window": window,
                "event_loop_worst_stall_ms": window.worst_stall_ms,
                **spread("click_painted_ms", window.click_painted_ms),
                **spread("first_click_ms", window.first_click_ms),
                **spread("accept_ms", window.accept_ms),
            }
        )


def spread(name: str, values: Sequence[float]) -> dict[str, float | Quartiles]:
    """Fields for the median and the quartiles of a duration."""
    return {name: median(values), f"{name}_quartiles": quartiles(values)}
