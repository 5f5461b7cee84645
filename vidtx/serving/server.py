"""The local page from its start to its end: socket, child, signals."""

import contextlib
import errno
import pathlib
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from vidtx.errors import ConfigError, MachineError
from vidtx.serving.child import Child
from vidtx.serving.guard import is_loopback
from vidtx.serving.jobs import Jobs
from vidtx.serving.kept import Kept
from vidtx.serving.limits import Limits

__all__ = ["serve"]

_MISSING = (
    "The page needs starlette and uvicorn, and {name} is not installed. Install both with: pip "
    "install 'vidtx[serve]'."
)
_GRACE_SECONDS = 3
_POLL_SECONDS = 0.1


def serve(
    weights: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    load: Mapping[str, Any] | None = None,
    ready: Callable[[dict[str, Any]], None] = lambda about: None,
    log: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> None:
    """Serves the page until Ctrl-C, SIGTERM or SIGHUP; call it in the main thread.

    Args:
      weights: anything that `vidtx.inference.load_pretrained` takes.
      host: to listen at, a name or an address.
      port: to listen at; 0 for a free one.
      limits: of a request.
      load: further arguments of `vidtx.inference.Predictor.load`, as JSON.
      ready: called once answers can be had, with ``url``, ``host``, ``port`` and ``model``.
      log: is told what happens, a line each.

    Raises:
      ConfigError: the host is none of this machine, or the weights are not there.
      CheckpointError: the weights cannot be used.
      MachineError: a library is missing, the port is taken, or the model does not fit.
    """
    limits = limits or Limits()
    _check_libraries()
    with contextlib.ExitStack() as stack:
        stopping = stack.enter_context(_signals())
        listener = stack.enter_context(_listening(host, port))
        host_shown, port = host.strip("[]"), listener.getsockname()[1]
        if not is_loopback(host):
            log(
                f"Warning: --host={host} lets others on the network ask, and there is no "
                "authentication: whoever reaches this port may upload videos and see answers."
            )
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="vidtx-serve-"))
        folder = pathlib.Path(root)
        for name in ("uploads", "kept", "compiled"):
            (folder / name).mkdir(mode=0o700)
        settings = {
            "weights": str(weights),
            "load": dict(load or {}),
            "max_seconds": limits.max_seconds,
            "compiled": str(folder / "compiled"),
        }
        child = Child(settings, limits)
        stack.callback(child.close)
        try:
            about = child.start(stopping.is_set, log)
        except KeyboardInterrupt:
            return
        for note in about["notes"]:
            log(note)
        jobs = Jobs(child, limits.queue, log)
        stack.callback(jobs.close)
        kept = Kept(folder / "kept", limits.kept, limits.kept_seconds)
        shown = f"[{host_shown}]" if ":" in host_shown else host_shown
        told = {"url": f"http://{shown}:{port}/", "host": host, "port": port, "model": about}
        _run(listener, jobs, kept, limits, folder / "uploads", host_shown, stopping, ready, told)


def _run(listener, jobs, kept, limits, uploads, host, stopping, ready, told) -> None:
    """Answers HTTP in a thread of its own until a signal comes, or it ends by itself."""
    import uvicorn

    from vidtx.serving.app import create_app

    config = uvicorn.Config(
        create_app(jobs, kept, limits, uploads, told["model"], host),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=64,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    # In a thread of its own, where it leaves signals alone.
    thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    thread.start()
    announced = False
    while thread.is_alive() and not stopping.wait(_POLL_SECONDS):
        if server.started and not announced:
            announced = True
            ready(told)
    jobs.close()  # whoever waits is told
    server.should_exit = True
    thread.join(2 * _GRACE_SECONDS)
    if not stopping.is_set():
        raise MachineError("The server ended by itself; what it said is above.")


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """Gives an event that is set by Ctrl-C, SIGTERM and a terminal that is closed (SIGHUP).

    A SIGHUP that is ignored, as `nohup` has it, stays so: the server is to outlive its terminal.
    """
    stopping = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        stopping.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
      ConfigError: there is no such host, or it is another machine's.
      MachineError: the port is taken, or is not for us.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(
            f"--host={host} is no host that is known here ({error.strerror or error}). The "
            "default, 127.0.0.1, is this machine; 0.0.0.0 is all its addresses."
        ) from error
    # Browsers try the older protocol, too; not every machine has the newer one.
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise MachineError(
                f"Port {port} of {host} is taken, maybe by another vidtx serve. Choose another "
                "one, or --port=0 for one that is free."
            ) from error
        if error.errno == errno.EACCES:
            raise MachineError(
                f"Port {port} may not be used without more rights; choose one from 1024 on."
            ) from error
        raise ConfigError(
            f"--host={host} cannot be listened at ({error.strerror}); it must be a name or an "
            "address of this machine."
        ) from error
    return listener


def _check_libraries() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MachineError(_MISSING.format(name=error.name)) from error
