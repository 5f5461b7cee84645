"""Composition: a specification into parts, the parts into a run."""

from vidtx.run.evaluate import run_eval
from vidtx.run.setup import problems
from vidtx.run.train import run_train

__all__ = ["problems", "run_eval", "run_train"]
