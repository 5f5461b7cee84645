"""Looking at a model: what it costs, how well a chip is used, and what in a clip it looks at."""

from vidtx.analysis.chips import CHIPS, Chip, peak_flops, utilisation
from vidtx.analysis.cost import (
    Macs,
    StepMacs,
    count_macs,
    count_parameters,
    parameter_shapes,
)

__all__ = [
    "CHIPS",
    "Chip",
    "Macs",
    "StepMacs",
    "count_macs",
    "count_parameters",
    "parameter_shapes",
    "peak_flops",
    "utilisation",
]
