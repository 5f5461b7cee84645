"""Answers about videos written down: lines for people, CSV, files that appear as they are made."""

import csv
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from vidtx.errors import ConfigError, explain
from vidtx.inference import FailedVideo, Prediction, Timeline
from vidtx.reporting.tables import format_table

__all__ = ["CSV_COLUMNS", "CsvAnswers", "answer_lines", "clock", "timeline_lines", "write_timeline"]

CSV_COLUMNS = ("video", "status", "rank", "class", "index", "probability", "seconds", "message")

# Of a video that is longer, one answer says little.
LONG_SECONDS = 60.0

_ROWS = 40  # of a timeline's table; a file has them all


def answer_lines(answer: Prediction | FailedVideo, *, has_timeline: bool) -> Iterator[str]:
    """What a person reads about one video.

    Args:
      answer: about it.
      has_timeline: whether one follows; else a long video is told that there could be one.
    """
    if isinstance(answer, FailedVideo):
        yield f"{answer.video}  failed ({answer.kind})"
        yield f"    {answer.message}"
        return
    status = "" if answer.complete else "  in part"
    rate = f"{answer.fps:.4g} frames/s" if answer.num_frames > 1 else "1 frame"
    yield (
        f"{answer.video}  {clock(answer.seconds)}, {rate}, {answer.width}×{answer.height}{status}"
    )
    for score in answer.top:
        yield f"  {score.probability:7.1%}  {score.name}"
    for note in answer.notes:
        yield f"    {note}"
    if answer.seconds > LONG_SECONDS and not has_timeline:
        yield f"    It lasts {clock(answer.seconds)}: --timeline tells what happens when."


def timeline_lines(timeline: Timeline, *, told: Sequence[str] = ()) -> Iterator[str]:
    """The stretches of a video and what happens in each, as a table.

    Args:
      timeline: of the video.
      told: notes that a person has read already.
    """
    segments = timeline.segments()
    rows = [
        (clock(part.start, tenths=True), clock(part.end, tenths=True), f"{part.probability:.1%}",
         part.name)
        for part in segments[:_ROWS]
    ]  # fmt: skip
    table = format_table(rows, ("from", "to", "mean", "class"))
    yield from (f"  {line}" for line in table.splitlines())
    if len(segments) > _ROWS:
        yield f"    … {len(segments) - _ROWS} more; --out=FOLDER writes all of them."
    for note in (note for note in timeline.notes if note not in told):
        yield f"    {note}"


def clock(seconds: float, *, tenths: bool = False) -> str:
    """Seconds as 7.3 s, 2:03 or 1:02:03; with ``tenths`` always as m:ss.t."""
    if not seconds >= 0:
        return "length unknown"
    if not tenths and seconds < 60:
        return f"{seconds:.1f} s"
    units = round(seconds * 10) if tenths else round(seconds) * 10
    minutes, rest = divmod(units, 600)
    second = f"{rest // 10:02d}" + (f".{rest % 10}" if tenths else "")
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second}" if hours else f"{minute}:{second}"


class CsvAnswers:
    """A file with a row for each listed class of each video, complete after every video.

    Use it as a context manager.

    Args:
      path: to write; one that this has written before is written anew.

    Raises:
      ConfigError: there is another file of that name, or it cannot be written.
      MachineError: it may not be written, or the disk is full.
    """

    def __init__(self, path: str | os.PathLike):
        self._path = pathlib.Path(path)
        _check_ours(self._path)
        self._file: TextIO | None = None

    def __enter__(self) -> "CsvAnswers":
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # A byte-order mark, for spreadsheets to read names of classes rightly.
            self._file = open(
                self._path, "w", encoding="utf-8-sig", newline="", errors="backslashreplace"
            )
        except OSError as error:
            raise type(explain(error) or ConfigError())(
                f"--csv={self._path} cannot be written: {error.strerror}."
            ) from error
        self._rows = csv.writer(self._file)
        self._rows.writerow(CSV_COLUMNS)
        self._file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, answer: Prediction | FailedVideo) -> None:
        """Adds one video."""
        if isinstance(answer, FailedVideo):
            self._rows.writerow((answer.video, answer.kind, "", "", "", "", "", answer.message))
        else:
            status = "ok" if answer.complete else "in part"
            for rank, score in enumerate(answer.top, 1):
                about = (rank, score.name, score.index, repr(score.probability))
                row = (answer.video, status, *about, repr(answer.seconds), " ".join(answer.notes))
                self._rows.writerow(row)
        self._file.flush()


def write_timeline(timeline: Timeline, path: str | os.PathLike) -> None:
    """Writes all windows of a timeline as CSV: from, to, top class, then a column a class."""
    with open(path, "w", encoding="utf-8-sig", newline="", errors="backslashreplace") as file:
        rows = csv.writer(file)
        rows.writerow(("start", "end", "top", *timeline.class_names))
        windows = zip(timeline.starts, timeline.ends, timeline.probabilities, strict=True)
        for start, end, probabilities in windows:
            top = timeline.class_names[int(probabilities.argmax())]
            rows.writerow((repr(float(start)), repr(float(end)), top, *_plain(probabilities)))


def _plain(values: Sequence[Any]) -> list[str]:
    return [repr(float(value)) for value in values]


def _check_ours(path: pathlib.Path) -> None:
    """Refuses to write over anything that is no such file."""
    if not path.exists():
        return
    try:
        first = path.open("rb").readline(200)
    except OSError as error:
        raise ConfigError(f"--csv={path} cannot be written: {error.strerror}.") from error
    if first and first.decode("utf-8-sig", "replace").strip() != ",".join(CSV_COLUMNS):
        raise ConfigError(
            f"--csv={path} is there already, and is no table of answers. Name another file."
        )
