"""The benchmark of names: whether what a teacher says of masks carries over to what nobody has shown."""

from napari_simmat.evaluation.names.benchmark import (
    Plan,
    Trial,
    keep_trial,
    kept_trial,
    measure,
    summary,
    write_summary,
)

__all__ = ["Plan", "Trial", "keep_trial", "kept_trial", "measure", "summary", "write_summary"]
