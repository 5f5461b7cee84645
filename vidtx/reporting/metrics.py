"""The numbers of a run: `metrics.jsonl` for programs, TensorBoard events for people.

`metrics.jsonl` is the record. A run that was killed and resumed ends with the same bytes as one
that was not, except for the values under `timing/`: no other key may hold anything that depends
on the clock, the machine or the number of restarts. For this to hold, the lines of step n have to
be written before checkpoint n is saved; resuming at n keeps them and drops everything later.
"""

import contextlib
import json
import math
import operator
import os
import struct
import time
from collections.abc import Mapping
from typing import SupportsFloat

from tensorboardX.proto import event_pb2, summary_pb2
from tensorboardX.record_writer import masked_crc32c

from vidtx.errors import MachineError
from vidtx.reporting.files import Path, as_path, exists, read_bytes, write_bytes
from vidtx.reporting.growing import growing

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class MetricWriter:
    """Appends metrics to `workdir/metrics.jsonl` and to events in `workdir/tensorboard/`.

    One process of a run writes. Every `write` is on disk when it returns; where the run directory
    is in a bucket, when `flush` or `close` has returned. Use it as a context manager.

    Args:
      workdir: The run directory, which may be in a bucket; made if missing.
      resume_step: The step of the restored state. Lines of later steps, and a half-written last
        line, are dropped before anything is written. -1 starts from nothing (drops step 0 too).

    Raises:
      ValueError: If `resume_step` is below -1, or an existing `metrics.jsonl` is damaged anywhere
        but in its half-written last line.
      MachineError: If a bucket cannot be read or written.
    """

    def __init__(self, workdir: str | os.PathLike[str], *, resume_step: int):
        resume_step = operator.index(resume_step)
        if resume_step < -1:
            raise ValueError(
                f"{resume_step=} must be a step, 0 or more, or -1 to drop every line of an "
                "earlier run."
            )
        workdir = as_path(workdir)
        path = workdir / "metrics.jsonl"
        _drop_after(path, resume_step)
        self._lines = growing(path)
        self._events = _EventFile(workdir / "tensorboard", purge_step=resume_step + 1)

    def write(self, step: int, values: Mapping[str, SupportsFloat]) -> None:
        """Appends one line, `{"step": step, **values}`, and the same scalars as one event.

        Args:
          step: The step that the values belong to: state n is the state after n updates.
          values: Name → scalar, kept in this order. Anything that `float` takes. Non-finite
            values are written as the strings "nan", "inf" and "-inf", so the file stays JSON.

        Raises:
          ValueError: If `step` is negative, or a value is named "step".
          OSError: If the line could not be written; the file then ends with the line before.
          MachineError: If it could not be written to a bucket.
        """
        step = operator.index(step)
        if step < 0:
            raise ValueError(f"{step=} must be 0 or more.")
        if "step" in values:
            raise ValueError("A metric must not be named 'step': the line's own key has that name.")
        scalars = {name: float(value) for name, value in values.items()}
        line = {"step": step} | {name: _encode(value) for name, value in scalars.items()}
        self._lines.append(json.dumps(line, allow_nan=False, ensure_ascii=False).encode() + b"\n")
        self._events.write(step, scalars)

    def flush(self) -> None:
        """Returns when all that was written can be read; to be called before a state is saved.

        Raises:
          MachineError: If a bucket cannot be written.
        """
        self._lines.flush()
        self._events.flush()

    def close(self) -> None:
        """Closes both files. A second call does nothing."""
        self._lines.close()
        self._events.close()

    def __enter__(self) -> "MetricWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A bucket that cannot be written must not hide what ended the run before.
        with contextlib.suppress(*([MachineError] if kind else [])):
            self.close()


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """Reads a `metrics.jsonl`, also while its run is writing it.

    Args:
      path: The file.

    Returns:
      One dict a line, in the file's order: "step" (int) and the values (float, non-finite ones
      decoded). A last line without its line break is half-written and left out.

    Raises:
      FileNotFoundError: If there is no such file.
      MachineError: If it cannot be read from a bucket.
      ValueError: If any other line is damaged; names the file and the line.
    """
    return [record for record, _ in _complete_lines(as_path(path))]


class _EventFile:
    """A TensorBoard event file, written at once.

    Not tensorboardX's `SummaryWriter`: it hands events to a thread, so a kill loses up to two
    minutes of them, and once that thread has died of a full disk, `add_scalar` blocks for ever.
    It also names files by the second: a run restarted within one overwrites its own events.
    """

    def __init__(self, directory: Path, *, purge_step: int):
        now = time.time_ns()
        # TensorBoard reads files in order of their names, hence the fixed width.
        name = f"events.out.tfevents.{now // 10**9:010d}.{now % 10**9:09d}.{os.getpid()}.vidtx"
        self._file = growing(directory / name)
        self._add(event_pb2.Event(file_version="brain.Event:2"))
        # Tells TensorBoard to hide what earlier files hold from this step on.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(event_pb2.Event(step=purge_step, session_log=start))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        summary = summary_pb2.Summary(
            value=[
                summary_pb2.Summary.Value(tag=name, simple_value=value)
                for name, value in scalars.items()
            ]
        )
        self._add(event_pb2.Event(step=step, summary=summary))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _add(self, event: event_pb2.Event) -> None:
        event.wall_time = time.time()
        self._file.append(_framed(event.SerializeToString()))


def _framed(data: bytes) -> bytes:
    """A record of a TFRecord file: its length and its bytes, each followed by its checksum."""
    length = struct.pack("<Q", len(data))
    sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return length + sums[0] + data + sums[1]


def _drop_after(path: Path, step: int) -> None:
    """Rewrites `path` without its half-written last line and the lines of steps after `step`."""
    if not exists(path):
        return
    kept = b"".join(line for record, line in _complete_lines(path) if record["step"] <= step)
    if kept != read_bytes(path):
        write_bytes(path, kept)


def _complete_lines(path: Path) -> list[tuple[dict[str, float], bytes]]:
    """Returns every complete line of `path`, as a record and as its bytes."""
    # The line break is written last, so it marks a line as complete.
    *lines, _ = read_bytes(path).split(b"\n")
    return [(_parse(path, number, line), line + b"\n") for number, line in enumerate(lines, 1)]


def _parse(path: Path, number: int, line: bytes) -> dict[str, float]:
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
        if not isinstance(record, dict) or type(record.get("step")) is not int:
            raise ValueError('not an object with a whole number "step"')
        return {
            name: value if name == "step" else _decode(name, value)
            for name, value in record.items()
        }
    except ValueError as error:
        raise ValueError(
            f"{path}, line {number}: damaged metrics line ({error}): {line[:80]!r}. "
            "Remove this line, or move the file aside to start a new one."
        ) from error


def _encode(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _decode(name: str, value: object) -> float:
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name!r} is {value!r}, not a number")
    return float(value)


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
