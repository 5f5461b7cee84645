"""A job of several processes: joining it, leaving it, and ending together.

An error that all processes raise at the same point is marked so (`VidtxError.together`). Where one
fails alone, the others would wait for it in the next collective for ever: it tells them, and each
ends with a line of its own and the same exit code. One that is killed cannot tell. At best the
others see a connection close, and end at once with code 7. Mostly they do not, and JAX kills them
(SIGABRT, with a stack trace of its own) once no heartbeat has come for a while; at once, if it was
process 0.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator

import jax

from vidtx import errors
from vidtx.errors import MachineError, VidtxError
from vidtx.sharding.processes import count, get, index, is_lead, listen, tell

_SEEN_SECONDS = 5
_LEAD_SECONDS = 1
_ending = threading.Lock()
_GONE = ("Gloo", "NCCL", "CoordinationService", "coordination service")


def join(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    *,
    timeout: int,
    heartbeat_timeout: int,
) -> None:
    """Joins the job; to be called before anything touches the devices.

    Args:
      coordinator: ``HOST:PORT`` where process 0 is to be found, or None, as the next two, for what
        JAX finds out by itself: on TPU pods, under Slurm, Open MPI and Kubernetes.
      num_processes: of the job.
      process_id: of this one.
      timeout: how long the others are waited for, in seconds.
      heartbeat_timeout: after how many seconds a process that is not heard of is given up.

    Raises:
      MachineError: there is nothing to be found out, or process 0's port is taken.
    """
    if coordinator and process_id == 0:
        _check_port(coordinator)
    # The default; without it, another choice in the environment would end in a hang.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # Signals are `StopSignal`'s, which agrees on a step without the notices of JAX: those would
    # be mixed up with Orbax's, who asks for them by numbers of its own.
    jax.config.update("jax_enable_preemption_service", False)
    place = coordinator or "the coordinator that JAX has found"
    # Where JAX runs out of time itself, it kills the process with a stack trace.
    watch = threading.Timer(timeout, _late, [place, num_processes, process_id, timeout])
    watch.daemon = True
    watch.start()
    # Python would see Ctrl-C only after it.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=timeout + 60,
            heartbeat_timeout_seconds=heartbeat_timeout,
        )
    except (ValueError, RuntimeError) as error:
        raise MachineError(
            f"This process cannot join a job: {error} Give --coordinator=HOST:PORT, "
            "--num_processes and --process_id."
        ) from error
    finally:
        signal.signal(signal.SIGINT, handler)
        watch.cancel()
    listen("failed", _end_with_another)


def _check_port(coordinator: str) -> None:
    """JAX crashes on a port that is taken."""
    port = int(coordinator.rpartition(":")[2])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise MachineError(
                f"Port {port} of --coordinator={coordinator} cannot be used here: {error}. Another "
                "program has it; give all processes another one."
            ) from error


def _late(place: str, num_processes: int | None, process_id: int | None, timeout: int) -> None:
    who = "This process" if process_id is None else f"Process {process_id} of {num_processes}"
    print(
        f"vidtx: {who} has not come together with the others at {place} within {timeout} s. Check "
        "that all of them were started and that process 0's address can be reached from here, or "
        "raise --join_timeout.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(MachineError.exit_code)


def leave() -> None:
    """Waits for the other processes to leave, and leaves the job."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        jax.distributed.shutdown()


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Ends all processes where this one fails alone; what all of them raise passes.

    To be held within whatever waits for the others when it is closed, as checkpoints do.
    """
    try:
        yield
    except BaseException as error:
        if count() == 1 or getattr(error, "together", False):
            raise
        _end_all(error)


def _end_all(error: BaseException) -> None:
    known = errors.explain(error)
    if known is None and any(sign in str(error) for sign in _GONE):
        known = MachineError(
            f"another process of the job is gone: {str(error).partition(chr(10))[0]} The same "
            "commands go on from the newest checkpoint."
        )
    trace = "" if known else "".join(traceback.format_exception(error))
    known = known or VidtxError(f"{type(error).__name__}: {error}")
    line = str(known).partition("\n")[0]
    tell("failed", json.dumps({"by": index(), "code": known.exit_code, "line": line}))
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        told = get("vidtx/failed", _SEEN_SECONDS)
        if json.loads(told)["line"] == line:  # of all that fail alike one tells at length
            _end_with_another(told)
    _only_once()
    print(f"{trace}vidtx: process {index()}: {known}", file=sys.stderr, flush=True)
    # It holds its connections until they know, as they would take their end for the cause.
    _exit(known.exit_code, after_others=True)


def _end_with_another(text: str) -> None:
    failed = json.loads(text)
    if failed["by"] == index():
        return
    _only_once()
    message = f"process {failed['by']} has failed, and so this one ends too: {failed['line']}"
    print(f"vidtx: process {index()}: {message}", file=sys.stderr, flush=True)
    _exit(failed["code"], after_others=is_lead())


def _only_once() -> None:
    """Goes on in one of the threads that end this process."""
    if not _ending.acquire(blocking=False):
        threading.Event().wait()


def _exit(code: int, *, after_others: bool) -> None:
    """Ends this process at once, or when the others know that they are to end too."""
    try:
        tell(f"seen/{index()}", "")
        deadline = time.monotonic() + _SEEN_SECONDS
        for number in range(count()) if after_others else ():
            get(f"vidtx/seen/{number}", deadline - time.monotonic())
    except jax.errors.JaxRuntimeError:  # they are gone
        pass
    finally:
        sys.stdout.flush()
        if is_lead():  # whose end JAX would kill the others for
            time.sleep(_LEAD_SECONDS)
        os._exit(code)
