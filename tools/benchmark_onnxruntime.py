"""Whether ONNX Runtime would encode faster on processors without bfloat16: ours in float32 beside it, in turns.

``pip install onnx onnxruntime onnxscript``, then ``python tools/benchmark_onnxruntime.py [RUNS]``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from napari_simmat.inference import compute, frozen
from napari_simmat.models import load_base_model
from napari_simmat.models.encoders import TinyViTEncoder


class _Whole(nn.Module):
    """Picture to embedding in one call, as an exporter wants it."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        embedding: Tensor = self.encoder.late(self.encoder.early(x))
        return embedding


def main(runs: int = 9) -> None:
    """Measure and print medians and quartiles in ms."""
    encoder = load_base_model().sam.encoder
    assert isinstance(encoder, TinyViTEncoder)
    x = torch.randn(1, 3, encoder.side, encoder.side, generator=torch.Generator().manual_seed(0))
    plain = _Whole(encoder)
    found: dict[str, Callable[[], object]] = {"as it was built, float32": lambda: plain(x)}
    for name in ("float32", "bfloat16"):
        compute.choose(precision=name)
        ours = _Whole(frozen.FrozenEncoder(encoder))
        found[f"ours, {name}"] = lambda ours=ours: ours(x)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "encoder.onnx"
        torch.onnx.export(_Whole(encoder).eval(), (x,), str(path), input_names=["x"], dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    pixels = x.numpy()
    found[f"ONNX Runtime {onnxruntime.__version__}, float32"] = lambda: session.run(None, {"x": pixels})
    times: dict[str, list[float]] = {name: [] for name in found}
    with torch.inference_mode():
        for run in range(runs + 1):
            for name, encode in found.items():
                began = time.perf_counter()
                encode()
                if run:  # the first one warms up
                    times[name].append(1000 * (time.perf_counter() - began))
    for name, each in times.items():
        low, middle, high = statistics.quantiles(each, n=4)
        print(f"{name}: {middle:.0f} ms ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
