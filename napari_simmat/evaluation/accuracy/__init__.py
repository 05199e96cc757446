"""The accuracy benchmark: what each way to adapt the model is worth on a labelled dataset, with error bars and plots."""

from napari_simmat.evaluation.accuracy.benchmark import benchmark_accuracy, make_plan, trials_of
from napari_simmat.evaluation.accuracy.gallery import write_gallery, write_gallery_of
from napari_simmat.evaluation.accuracy.plots import write_plots
from napari_simmat.evaluation.accuracy.report import AccuracyReport, report_of, table, write_report
from napari_simmat.evaluation.accuracy.rows import DEFAULT_ROW, GROUPS, UNTRAINED, Row, parse_rows
from napari_simmat.evaluation.accuracy.splits import (
    Split,
    drawn_split,
    file_split,
    groups_by_file,
    groups_by_pattern,
)
from napari_simmat.evaluation.accuracy.trials import Plan, Trial, TrialResult

__all__ = [
    "DEFAULT_ROW",
    "GROUPS",
    "UNTRAINED",
    "AccuracyReport",
    "Plan",
    "Row",
    "Split",
    "Trial",
    "TrialResult",
    "benchmark_accuracy",
    "drawn_split",
    "file_split",
    "groups_by_file",
    "groups_by_pattern",
    "make_plan",
    "parse_rows",
    "report_of",
    "table",
    "trials_of",
    "write_gallery",
    "write_gallery_of",
    "write_plots",
    "write_report",
]
