"""One row of how cost grows, as JSON: ``python -m napari_simmat.evaluation.speed WHAT VALUE RUNS [CHECKPOINT]``."""

from __future__ import annotations

import sys

from napari_simmat.evaluation.speed.growth import measure
from napari_simmat.models import load_base_model


def main(what: str, value: str, runs: str, checkpoint: str | None = None) -> None:
    """Measure and print."""
    print(measure(what, int(value), int(runs), load_base_model(checkpoint)).model_dump_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
