"""The speed benchmark without a window: ours beside stock, masks compared, learning timed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from napari_simmat.evaluation.speed.contest import Contest
from napari_simmat.evaluation.speed.learning import DEEP_STEPS, HANDFUL, time_learning
from napari_simmat.evaluation.speed.report import ImageTimes, SpeedReport, spread
from napari_simmat.evaluation.speed.scenes import SETS, handful, load_scenes, sample_items
from napari_simmat.evaluation.speed.timing import (
    Course,
    gpu_peak_mb,
    median,
    own_peak_mb,
    processor,
    software,
)
from napari_simmat.images import DatasetItem, open_dataset, sample_path
from napari_simmat.inference import describe_device, device_choice
from napari_simmat.inference.compute import uses_bfloat16
from napari_simmat.models import BaseModel, load_base_model

__all__ = ["OBJECTS", "benchmark_speed"]

OBJECTS = 40
"""Objects on which masks are compared."""

_ENCODED = len(SETS)
_REPETITIONS = 3


def benchmark_speed(
    items: Sequence[DatasetItem] | None = None,
    *,
    runs: int = 10,
    objects: int = OBJECTS,
    repetitions: int = _REPETITIONS,
    handful_size: int = HANDFUL,
    deep_steps: int = DEEP_STEPS,
    quick_steps: int | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
    progress: Callable[[int, int | None, str], None] | None = None,
    cancel: threading.Event | None = None,
) -> SpeedReport:
    """Measure ours and stock SAM in turns.

    Parameters
    ----------
    items : sequence of DatasetItem, optional
        Labelled images, all with the same channels; by default the bundled ones, of every kind.
    runs : int
        Encodings of each side, rounded up so that each image is encoded equally often.
    objects : int
        On which masks are compared, at most.
    repetitions : int
        Trainings of each kind.
    handful_size : int
        Objects to learn from.
    deep_steps, quick_steps : int
        Steps of a training; quick ones take as many as they think best by default.
    base : BaseModel, optional
        By default the embedded one; stock has the same weights.
    device : str, optional
    progress : callable (done, total, remark), optional
    cancel : threading.Event, optional

    Raises
    ------
    SimmatError
        The images have no objects, or are too large to be seen as a whole.
    Cancelled
    """
    began = time.perf_counter()
    base = load_base_model() if base is None else base
    where = torch.device(device or device_choice())
    tested = sample_items() if items is None else list(items)
    learnt = open_dataset(sample_path(f"{SETS[0]}-train")) if items is None else list(items)
    scenes = load_scenes(tested, max(_ENCODED, objects // 3))
    encoded = scenes[:_ENCODED]
    corrections = handful(learnt, handful_size)
    rounds = -(-runs // len(encoded)) * len(encoded)
    course = Course(rounds + len(scenes) + 2 * repetitions, progress, cancel)
    course.check()
    contest = Contest(base, where)
    contest.race(encoded, runs, course)
    agreement = contest.agree(scenes, objects, course)
    learning = time_learning(
        corrections,
        base,
        where,
        repetitions=repetitions,
        course=course,
        deep_steps=deep_steps,
        quick_steps=quick_steps,
    )
    encoding, clicking = contest.encoding, contest.clicking
    channels = {scene.name: scene.image.n_channels for scene in encoded}
    return SpeedReport(
        runs=len(encoding.ours),
        **spread("encode_ms", encoding.ours),
        **spread("stock_encode_ms", encoding.stock),
        encode_ratio=median(encoding.stock) / median(encoding.ours),
        encode_by_image=[
            ImageTimes(
                name=name,
                channels=channels[name],
                encode_ms=median(pairs.ours),
                stock_encode_ms=median(pairs.stock),
            )
            for name, pairs in contest.by_image.items()
        ],
        clicks=len(clicking.ours),
        **spread("click_ms", clicking.ours),
        **spread("stock_click_ms", clicking.stock),
        click_ratio=median(clicking.stock) / median(clicking.ours),
        mask_iou_vs_stock=float(np.mean(agreement.with_stock)),
        mask_iou_vs_stock_median=median(agreement.with_stock),
        mask_iou_vs_stock_worst=min(agreement.with_stock),
        miou=float(np.mean(agreement.ours)),
        stock_miou=float(np.mean(agreement.stock)),
        miou_channels=float(np.mean(agreement.channels)),
        objects=len(agreement.ours),
        **spread("finetune_quick_s", learning.quick_s),
        finetune_quick_steps=learning.quick_steps,
        **spread("finetune_deep_s_per_step", learning.deep_s_per_step),
        finetune_objects=len(corrections),
        finetune_runs=repetitions,
        device=describe_device(where),
        bfloat16=uses_bfloat16(where.type),
        threads=torch.get_num_threads(),
        processor=processor(),
        model=base.name,
        images=[scene.name for scene in scenes],
        software=software(),
        peak_rss_mb=own_peak_mb(),
        peak_gpu_mb=gpu_peak_mb(where),
        seconds=time.perf_counter() - began,
    )
