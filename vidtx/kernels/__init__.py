"""Attention steps: the table of token groupings, and the backends that attend within groups."""

from vidtx.kernels.attention import attend, attend_groups, attend_groups_observed
from vidtx.kernels.choice import ATTENTION, choose_backend
from vidtx.kernels.grouping import STEPS, Grouping, Step
from vidtx.kernels.splash import KEPT

__all__ = [
    "ATTENTION",
    "KEPT",
    "STEPS",
    "Grouping",
    "Step",
    "attend",
    "attend_groups",
    "attend_groups_observed",
    "choose_backend",
]
