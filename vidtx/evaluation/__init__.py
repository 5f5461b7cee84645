"""Evaluation: every video once, over all its views; accuracy or average precision, by class."""

from vidtx.evaluation.evaluate import EvalStep, evaluate, make_eval_step
from vidtx.evaluation.extremes import JudgedVideo
from vidtx.evaluation.metrics import Evaluation
from vidtx.evaluation.multi_label import average_precisions
from vidtx.evaluation.single_label import Counts
from vidtx.evaluation.views import average_views

__all__ = [
    "Counts",
    "EvalStep",
    "Evaluation",
    "JudgedVideo",
    "average_precisions",
    "average_views",
    "evaluate",
    "make_eval_step",
]
