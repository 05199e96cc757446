"""What rough labels are worth: one point an object on some images, one click on others, beside training with masks."""

from napari_simmat.evaluation.rough.benchmark import ROWS, benchmark_rough
from napari_simmat.evaluation.rough.report import RoughReport, report_of, table, write_report

__all__ = ["ROWS", "RoughReport", "benchmark_rough", "report_of", "table", "write_report"]
