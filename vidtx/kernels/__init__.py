"""Attention steps: the table of token groupings, and the backends that attend within groups."""

from vidtx.kernels.attention import attend, grouped_attention
from vidtx.kernels.grouping import STEPS, Grouping, Step

__all__ = ["STEPS", "Grouping", "Step", "attend", "grouped_attention"]
