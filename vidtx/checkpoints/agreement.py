"""Decisions about checkpoints on which all processes of a job agree.

Whoever calls these functions calls them on all processes, in the same order.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.sharding import processes

Result = TypeVar("Result")


class DamagedError(Exception):
    """A checkpoint that cannot be read, or is not what was saved; its message is the cause."""


# What ends a common action, the gravest first. A process that merely cannot read a checkpoint, for
# want of memory, say, must not have it set aside because another one has found it damaged.
_GRAVEST_FIRST = (MachineError, ConfigError, CheckpointError, DamagedError)


def gather(fact: Any) -> list:
    """What every process says, in their order. Returns only when all have said it.

    Args:
      fact: anything that JSON can hold.
    """
    return [json.loads(text) for text in processes.exchange(json.dumps(fact))]


def agreed(act: Callable[[], Result]) -> Result:
    """What ``act`` returns on this process, if it succeeds on all of them.

    Args:
      act: communicates with no other process.

    Raises:
      MachineError, ConfigError, CheckpointError, DamagedError: the gravest of what it raised on any
        process, the same on all of them.
    """
    if processes.count() == 1:
        return act()
    failure = result = None
    try:
        result = act()
    except _GRAVEST_FIRST as error:
        kind = next(n for n, kind in enumerate(_GRAVEST_FIRST) if isinstance(error, kind))
        failure = [kind, processes.index(), str(error)]
    failures = [failure for failure in gather(failure) if failure]
    if failures:
        kind, process, message = min(failures)
        alone = "" if process == 0 else f"on process {process}: "
        raise processes.raised_by_all(_GRAVEST_FIRST[kind](f"{alone}{message}"))
    return result
