"""Looking at a model: what it costs."""

from vidtx.analysis.cost import Macs, StepMacs, count_macs, count_parameters

__all__ = ["Macs", "StepMacs", "count_macs", "count_parameters"]
