"""Processes that use the same checkpoints at the same time, and must agree on every decision.

Whoever calls these functions calls them in all processes, in the same order.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from vidtx.errors import CheckpointError, ConfigError, MachineError

Result = TypeVar("Result")


class DamagedError(Exception):
    """A checkpoint that cannot be read, or is not what was saved; its message is the cause."""


# What ends a common action, the gravest first. A process that merely cannot read a checkpoint, for
# want of memory, say, must not have it set aside because another one has found it damaged.
_GRAVEST_FIRST = (MachineError, ConfigError, CheckpointError, DamagedError)


def is_main() -> bool:
    """Whether this is the process that renames, deletes and speaks."""
    return jax.process_index() == 0


def gather(fact: Any) -> list:
    """What every process says, in their order. Returns only when all have said it.

    Args:
      fact: anything that JSON can hold.
    """
    if jax.process_count() == 1:
        return [fact]
    text = np.frombuffer(json.dumps(fact).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(text.size))
    padded = np.zeros(max(sizes), np.uint8)
    padded[: text.size] = text
    rows = multihost_utils.process_allgather(padded)
    return [json.loads(bytes(row[:size])) for row, size in zip(rows, sizes, strict=True)]


def agreed(act: Callable[[], Result]) -> Result:
    """What ``act`` returns in this process, if it succeeds in all of them.

    Args:
      act: communicates with no other process.

    Raises:
      MachineError, ConfigError, CheckpointError, DamagedError: the gravest of what it raised in any
        process, the same in all of them.
    """
    failure = result = None
    try:
        result = act()
    except _GRAVEST_FIRST as error:
        kind = next(n for n, kind in enumerate(_GRAVEST_FIRST) if isinstance(error, kind))
        failure = [kind, jax.process_index(), str(error)]
        if jax.process_count() == 1:
            raise
    failures = [failure for failure in gather(failure) if failure]
    if failures:
        kind, process, message = min(failures)
        where = f" (process {process})" if _GRAVEST_FIRST[kind] is DamagedError else ""
        raise _GRAVEST_FIRST[kind](f"{message}{where}")
    return result
