"""Evaluation: every video once, over all its views; accuracy, classes, confusion."""

from vidtx.evaluation.evaluate import EvalStep, evaluate, make_eval_step
from vidtx.evaluation.metrics import Counts, Evaluation

__all__ = ["Counts", "EvalStep", "Evaluation", "evaluate", "make_eval_step"]
