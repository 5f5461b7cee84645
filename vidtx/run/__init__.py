"""Composition: a specification into parts, the parts into a run."""

from vidtx.run.compare import ComparedRun, problems_without_devices, run_comparison
from vidtx.run.evaluate import run_eval
from vidtx.run.setup import problems
from vidtx.run.train import run_train

__all__ = [
    "ComparedRun",
    "problems",
    "problems_without_devices",
    "run_comparison",
    "run_eval",
    "run_train",
]
