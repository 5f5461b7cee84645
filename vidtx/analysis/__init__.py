"""Looking at a model: what it costs, and how well a chip is used."""

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
