"""Weights of other libraries, in and out, every array accounted for."""

from vidtx.weights.report import FATES, Entry, Report
from vidtx.weights.source import Architecture, Source

__all__ = ["FATES", "Architecture", "Entry", "Report", "Source"]
