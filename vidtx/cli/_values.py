"""Types of the options that the commands share which ask a model about videos."""

import argparse

from data_pipelines.views import parse_views
from vidtx.cli.arguments import place

__all__ = ["rate", "seconds", "views", "weights_place"]


def weights_place(text: str) -> str:
    """The type of an option that names weights: a path, or ``hf:OWNER/NAME``."""
    return text if text.startswith("hf:") else place(text)


def views(text: str) -> tuple[int, int]:
    """The type of an option such as ``10x3``: clips of a video, times crops."""
    try:
        return parse_views(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(text: str) -> float:
    """The type of an option that is a length of time, above 0."""
    if not 0 < _number(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds above 0")
    return float(text)


def rate(text: str) -> float:
    """The type of an option that is frames a second; 0 where a video's own is meant."""
    if not 0 <= _number(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be frames a second, 0 or more")
    return float(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
