"""Where the time goes: encoding, a click and steps of training, in parts and by operator.

python tools/profile_speed.py --device cuda
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from napari_simmat.evaluation.speed.learning import deep_seconds_per_step
from napari_simmat.evaluation.speed.scenes import SETS, enlarged, fresh, handful, load_scenes, sample_items
from napari_simmat.evaluation.speed.timing import Course, clock, processor, software
from napari_simmat.images import open_dataset, sample_path
from napari_simmat.inference import Prompt, Segmenter, describe_device, device_choice
from napari_simmat.inference.cache import forget
from napari_simmat.inference.compute import autocast
from napari_simmat.models import load_base_model
from napari_simmat.training import Corrections, deep, quick


def milliseconds(work: Callable[[], object], device: torch.device, runs: int) -> str:
    """Median and quartiles of some runs after three that do not count."""
    times = [clock(work, device)[1] for _ in range(runs + 3)][3:]
    low, middle, high = np.percentile(times, (25, 50, 75))
    return f"{middle:8.2f} ms ({low:.2f} to {high:.2f})"


def operators(work: Callable[[], object], device: torch.device, top: int) -> str:
    """A table of the operators of one run, those that take longest on the device first."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds) as found:
        clock(work, device)
    events = found.key_averages()
    order = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    kernels = sum(e.count for e in found.events() if e.device_type == torch.autograd.DeviceType.CUDA)
    busy = sum(e.self_device_time_total for e in events) / 1000
    table = str(events.table(sort_by=order, row_limit=top, max_name_column_width=60))
    return f"{table}\non the device: {busy:.2f} ms in {kernels} kernels and copies"


def parts(device: torch.device, runs: int, top: int) -> None:
    """Each kind of image, step by step, and one click."""
    base = load_base_model()
    for scene in load_scenes(sample_items(), len(SETS)):
        image = enlarged(scene.image, base.sam.side)
        number = iter(range(10**6))

        def opened(image: Any = image, number: Any = number) -> Any:
            return fresh(image, next(number))

        def encode(opened: Any = opened) -> Segmenter:
            forget()
            return Segmenter(opened(), model=base, device=str(device))

        segmenter = encode()
        print(f"\n{scene.name}, {image.n_channels} channels, {image.shape[0]} x {image.shape[1]}")
        print("  whole encoding         ", milliseconds(encode, device, runs))
        profile_ = segmenter.adapter.profile

        def seen(profile_: Any = profile_, opened: Any = opened, segmenter: Any = segmenter) -> Any:
            return profile_.model_input(opened(), segmenter.frame.shape)

        x = torch.from_numpy(seen())[None]
        print("  what the model sees    ", milliseconds(seen, device, runs))
        print("  its way to the device  ", milliseconds(lambda x=x: x.to(device), device, runs))
        sam, decoder = segmenter._sight._ready  # type: ignore[attr-defined]
        with torch.inference_mode(), autocast(device):
            on = x.to(device)
            early = sam.early_of_frame(on, segmenter.frame.side)
            print(
                "  early stages           ",
                milliseconds(partial(sam.early_of_frame, on, segmenter.frame.side), device, runs),
            )
            print("  last stage and neck    ", milliseconds(partial(sam.late, early), device, runs))
        ground = partial(decoder.ground, segmenter.embedding, projects=True)
        with torch.inference_mode():
            print("  made ready for prompts ", milliseconds(ground, device, runs))
        rng = np.random.default_rng(0)

        def click(segmenter: Any = segmenter, rng: Any = rng) -> list[Any]:
            at = (
                float(rng.uniform(0, segmenter.image.shape[0] - 1)),
                float(rng.uniform(0, segmenter.image.shape[1] - 1)),
            )
            answer = segmenter.answer(Prompt().with_point(*at))
            return [answer.mask(k) for k in range(3)]

        def answered(segmenter: Any = segmenter) -> Any:
            point = torch.tensor([[[300.0, 300.0]]], device=device)
            with torch.inference_mode():
                return segmenter._decoder.answer(
                    segmenter._ground, points=point, labels=torch.ones(1, 1, device=device)
                )

        print("  click to three masks   ", milliseconds(click, device, runs))
        print("  decoder alone          ", milliseconds(answered, device, runs))
        answer = segmenter.answer(Prompt().with_point(100.0, 100.0))
        print(
            "  three masks of logits  ",
            milliseconds(lambda a=answer: [a.mask(k) for k in range(3)], device, runs),
        )
    print("\nEncoding by operator\n" + operators(encode, device, top))
    print("\nClick by operator\n" + operators(click, device, top))


def learning(device: torch.device, top: int) -> None:
    """A deep step and quick training."""
    base = load_base_model()
    objects = handful(open_dataset(sample_path(f"{SETS[0]}-train")), 5)
    steps = partial(deep_seconds_per_step, objects, base, device, course=Course(0))
    for _ in range(2):
        times = [time.perf_counter()]
        deep(
            Corrections(objects),
            steps=60,
            base=base,
            device=str(device),
            on_step=lambda *_, times=times: times.append(time.perf_counter()),
        )
        every = 1000 * np.diff(times)
        print(
            f"\ndeep, 60 steps with its gate: {times[-1] - times[0]:.2f} s; a step in the middle of them "
            f"{np.median(every):.1f} ms ({np.percentile(every, 25):.1f} to {np.percentile(every, 75):.1f})"
        )
    for _ in range(3):
        forget()
        (_, report), ms = clock(partial(quick, Corrections(objects), base=base, device=str(device)), device)
        print(
            f"quick, {report.steps} steps: {ms / 1000:.2f} s in all, {1000 * report.seconds_per_step:.1f} ms a step"
        )
    print("\nEight deep steps by operator\n" + operators(partial(steps, 8), device, top))


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default=device_choice())
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--top", type=int, default=15)
    options = parser.parse_args()
    device = torch.device(options.device)
    print(describe_device(device), "|", processor(), "|", software())
    parts(device, options.runs, options.top)
    learning(device, options.top)


if __name__ == "__main__":
    main()
