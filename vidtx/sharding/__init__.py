"""The mesh of devices, and what lies where on it."""

from vidtx.sharding.batches import batch_parts, batch_sharding, place_batch, rows_of_process
from vidtx.sharding.mesh import (
    AXES,
    BATCH_AXES,
    RULES,
    STRATEGIES,
    axis_lengths,
    make_mesh,
    replicated,
    use_mesh,
)
from vidtx.sharding.pace import Pace, done_mark
from vidtx.sharding.weights import Whole, bytes_per_device, left_whole, weight_shardings

__all__ = [
    "AXES",
    "BATCH_AXES",
    "RULES",
    "STRATEGIES",
    "Pace",
    "Whole",
    "axis_lengths",
    "batch_parts",
    "batch_sharding",
    "bytes_per_device",
    "done_mark",
    "left_whole",
    "make_mesh",
    "place_batch",
    "replicated",
    "rows_of_process",
    "use_mesh",
    "weight_shardings",
]
