"""What the processes of one job tell each other; with one process, everything is as without.

Process 0, the *lead*, alone writes and prints; what depends on a file is found out by it and told
to the others. They talk through the key-value store of JAX's coordination service, not through
the devices: it waits as long as it takes, and a thread can listen to it while the devices compute.
"""

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax

# The store has no public name yet; Orbax and others take it from here too.
from jax._src import distributed

from vidtx import errors
from vidtx.errors import ConfigError, VidtxError

T = TypeVar("T")

_WAIT_MS = 500  # Python's signal handlers run in between
_numbers = itertools.count()


def count() -> int:
    """Number of processes of this job."""
    return distributed.global_state.num_processes if _client() else 1


def index() -> int:
    """Number of this process among them."""
    return distributed.global_state.process_id if _client() else 0


def is_lead() -> bool:
    """Whether this process writes and prints."""
    return index() == 0


def _client() -> Any:
    return distributed.global_state.client


def exchange(text: str, topic: str | None = None) -> list[str]:
    """What all processes give, by process; each calls this at the same point.

    Args:
      text: what this one gives.
      topic: for a thread of its own, which has no point in common with the others: once a topic.
    """
    if count() == 1:
        return [text]
    topic = topic or str(next(_numbers))
    _client().key_value_set(f"vidtx/{topic}/{index()}", text)
    return [get(f"vidtx/{topic}/{process}") for process in range(count())]


def get(key: str, seconds: float = float("inf")) -> str:
    """Waits for a key of the store.

    Raises:
      JaxRuntimeError: it has not come within so many seconds, or the job is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _client().blocking_key_value_get(key, _WAIT_MS)
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error) or time.monotonic() > deadline:
                raise


def on_lead(function: Callable[[], T]) -> T:
    """What a function returns on process 0, which alone runs it: plain values, as JSON has them.

    Raises:
      VidtxError: the one that it raises, on all processes.
    """
    return json.loads(json.dumps(_together(function if is_lead() else lambda: None)[0]))


def agree(function: Callable[[], T]) -> T:
    """What a function returns on this process, unless it raises on any.

    Raises:
      VidtxError: that of the first process that raises one, on all processes.
    """
    kept = []
    _together(lambda: kept.append(function()))
    return kept[0]


def _together(function: Callable[[], Any]) -> list[Any]:
    if count() == 1:
        return [function()]
    try:
        said = {"value": function()}
    except VidtxError as error:
        if error.together:
            raise
        said = {"error": type(error).__name__, "message": str(error)}
    heard = [json.loads(text) for text in exchange(json.dumps(said))]
    problems = {number: one for number, one in enumerate(heard) if "error" in one}
    if problems:
        first, problem = next(iter(problems.items()))
        alone = "" if first == 0 else f"On process {first}: "
        raise raised_by_all(
            getattr(errors, problem["error"], VidtxError)(f"{alone}{problem['message']}")
        )
    return [one["value"] for one in heard]


def check_same(values: Mapping[str, Any], cure: str) -> None:
    """Refuses what is not the same on all processes.

    Args:
      values: by name; plain, and may be nested.
      cure: what to do about it.

    Raises:
      ConfigError: something is not; names it, and a process where it differs from the first.
    """
    first, *others = [json.loads(text) for text in exchange(json.dumps(values))]
    for number, other in enumerate(others, 1):
        different = list(_differences(first, other))
        if different:
            listing = "\n".join(
                f"  - {name}: {mine} on process 0, {its} on process {number}"
                for name, mine, its in different
            )
            raise raised_by_all(
                ConfigError(f"The processes of this job differ:\n{listing}\n{cure}")
            )


def _differences(first: Any, other: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(first, dict) and isinstance(other, dict):
        for key in first | other:
            inner = f"{name}.{key}" if name else key
            yield from _differences(first.get(key), other.get(key), inner)
    elif first != other:
        yield name, first, other


def raised_by_all(error: VidtxError) -> VidtxError:
    """Marks an error that every process raises at the same point."""
    error.together = True
    return error


def tell(topic: str, text: str) -> None:
    """Tells all processes; only what is told first about a topic is heard."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # told already, or nobody is there
        _client().key_value_set(f"vidtx/{topic}", text)


def listen(topic: str, heard: Callable[[str], None]) -> None:
    """Calls ``heard``, in a thread, with what any process tells about a topic, also this one."""

    def wait() -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # the job is over
            heard(_client().blocking_key_value_get(f"vidtx/{topic}", 10**9))

    threading.Thread(target=wait, name=f"vidtx-{topic}", daemon=True).start()
