"""What modality experts are worth when a group of channels is missing, beside one model on all channels."""

from napari_simmat.evaluation.experts.report import Report, report_of, table
from napari_simmat.evaluation.experts.study import ROWS, Plan, Set, Trial, bundled_sets, run_trials

__all__ = ["ROWS", "Plan", "Report", "Set", "Trial", "bundled_sets", "report_of", "run_trials", "table"]
