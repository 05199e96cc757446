"""The speed benchmark: ours beside stock segment-anything in one run, and how cost grows."""

from napari_simmat.evaluation.speed.benchmark import OBJECTS, benchmark_speed
from napari_simmat.evaluation.speed.child import run_child
from napari_simmat.evaluation.speed.growth import GROWTH, GROWTH_MODULE, grow
from napari_simmat.evaluation.speed.report import GrowthRow, Phase, SpeedReport, WindowFigures
from napari_simmat.evaluation.speed.stock import stock_predictor

__all__ = [
    "GROWTH",
    "GROWTH_MODULE",
    "OBJECTS",
    "GrowthRow",
    "Phase",
    "SpeedReport",
    "WindowFigures",
    "benchmark_speed",
    "grow",
    "run_child",
    "stock_predictor",
]
