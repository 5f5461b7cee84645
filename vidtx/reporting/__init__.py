"""What a person wants to see of a run: figures and pictures in, files and lines out.

No JAX here: values arrive as Python or NumPy numbers, so reports can be made on any machine.
"""

from vidtx.reporting.comparison import (
    ComparisonRow,
    SeedResult,
    comparison_table,
    wilson_interval,
)
from vidtx.reporting.comparison_curves import plot_comparison
from vidtx.reporting.figures import contact_sheet, plot_confusion, plot_curves
from vidtx.reporting.metrics import MetricWriter, read_metrics
from vidtx.reporting.progress import Progress
from vidtx.reporting.report import write_report
from vidtx.reporting.tables import (
    confused_pairs,
    format_table,
    per_class_rows,
    per_class_table,
    percent,
)

__all__ = [
    "ComparisonRow",
    "MetricWriter",
    "Progress",
    "SeedResult",
    "comparison_table",
    "confused_pairs",
    "contact_sheet",
    "format_table",
    "per_class_rows",
    "per_class_table",
    "percent",
    "plot_comparison",
    "plot_confusion",
    "plot_curves",
    "read_metrics",
    "wilson_interval",
    "write_report",
]
