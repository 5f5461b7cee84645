"""A run as a process of its own, which gets the signals that its parent gets."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import FrameType

from vidtx.errors import ConfigError, MachineError, StoppedError
from vidtx.reporting.files import Path, in_bucket

# What each becomes for the run: a terminal that is closed ought not to cost it its state.
_PASSED_ON = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
}


class Trainer:
    """Trains runs in processes of their own, one after the other.

    Within the context, SIGTERM, Ctrl-C and the end of a terminal are passed on to the run, each as
    often as it comes, and no further run is started.
    """

    def __init__(self):
        self._noted: list[int] = []
        self._process: subprocess.Popen | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Trainer":
        # What is ignored stays so, as the end of a terminal under nohup.
        numbers = [n for n in _PASSED_ON if signal.getsignal(n) is not signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self._pass_on) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def train(self, arguments: Sequence[str], *, keep_open: Sequence[int] = ()) -> int:
        """Runs ``python -m vidtx.main ARGUMENTS`` to its end; its output is this process's.

        Args:
          arguments: the command line.
          keep_open: file descriptors that it inherits.

        Returns:
          Its exit code.

        Raises:
          StoppedError: a signal came, and the run stopped for it, or was not started any more.
          MachineError: the system killed it.
        """
        self.stop_if_asked()
        # In a group of its own: a terminal would send Ctrl-C to both, which makes two of it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vidtx.main", *arguments],
            stdin=subprocess.DEVNULL,
            process_group=0,
            pass_fds=keep_open,
        )
        for number in tuple(self._noted):  # came while it was started
            self._process.send_signal(_PASSED_ON[number])
        code = self._process.wait()
        self._process = None
        if code == StoppedError.exit_code or code < 0:
            self.stop_if_asked()
        if code < 0:
            raise MachineError(
                f"The run was killed by {signal.Signals(-code).name}. SIGKILL mostly means that "
                "the machine has no memory left: lower train.global_batch. The same command goes "
                "on."
            )
        return code

    def stop_if_asked(self) -> None:
        """Raises `StoppedError` if a signal came."""
        if self._noted:
            name = signal.Signals(self._noted[0]).name
            raise StoppedError(f"Stopped by {name}. The same command goes on from there.")

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._noted.append(number)
        if self._process is not None:
            self._process.send_signal(_PASSED_ON[number])


@contextlib.contextmanager
def only_one_in(folder: Path) -> Iterator[int]:
    """Refuses to work where another process does, or a run that such a one has left behind.

    Of a bucket, which has no locks, only processes of this machine are known.

    Yields:
      A file descriptor; a child that inherits it holds the place for as long as it lives.

    Raises:
      ConfigError: another works there.
    """
    with open(_lock_of(folder), "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"Another comparison is at work in {folder}, or a run that one has left behind "
                "when it was killed. Wait for it, stop it, or give another --workdir."
            ) from None
        except OSError:  # a file system without locks
            pass
        os.set_inheritable(file.fileno(), False)
        yield file.fileno()


def _lock_of(folder: Path) -> pathlib.Path:
    """The file of this machine that is locked while one works in a folder."""
    if in_bucket(folder):
        digest = hashlib.sha256(os.fspath(folder).encode()).hexdigest()[:16]
        return pathlib.Path(tempfile.gettempdir(), f"vidtx-{os.getuid()}-{digest}.lock")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / ".lock"
