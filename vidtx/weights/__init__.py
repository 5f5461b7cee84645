"""Weights of other libraries, in and out, every array accounted for."""

from vidtx.weights.fit import Fitted, fit
from vidtx.weights.foreign import is_foreign, read_foreign
from vidtx.weights.hub import fetch
from vidtx.weights.layouts import LAYOUTS
from vidtx.weights.report import FATES, Entry, Report
from vidtx.weights.source import Architecture, Source

__all__ = [
    "FATES",
    "LAYOUTS",
    "Architecture",
    "Entry",
    "Fitted",
    "Report",
    "Source",
    "fetch",
    "fit",
    "is_foreign",
    "read_foreign",
]
