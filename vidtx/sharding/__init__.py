"""The mesh of devices, and what lies where on it."""

from vidtx.sharding.mesh import (
    BATCH_AXES,
    RULES,
    batch_sharding,
    make_mesh,
    place_batch,
    replicated,
    rows_of_process,
    use_mesh,
    weight_shardings,
)
from vidtx.sharding.pace import Pace, done_mark

__all__ = [
    "BATCH_AXES",
    "RULES",
    "Pace",
    "batch_sharding",
    "done_mark",
    "make_mesh",
    "place_batch",
    "replicated",
    "rows_of_process",
    "use_mesh",
    "weight_shardings",
]
