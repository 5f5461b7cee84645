"""The report of a run, kept up to date while it trains, and never the reason that it dies.

Everything on the page comes from the files of the run directory, two of which are made for it:
``status.json``, how far the run is, and ``clips.json``, the best and worst clips of the newest
evaluation. So it can be written again at any time, also by a run that goes on after a kill.
"""

import contextlib
import datetime
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from vidtx.config import to_dict
from vidtx.errors import DivergedError, StoppedError, VidtxError
from vidtx.evaluation import Evaluation
from vidtx.reporting import read_metrics, write_report
from vidtx.reporting.files import Path, exists, read_bytes
from vidtx.run.report_clips import draw_clips
from vidtx.run.setup import Setup
from vidtx.run.workdir import write_json

# Seconds from one rewriting at a line of metrics to the next, at least; and at least so many times
# what the last took, so that it takes no more than a fiftieth of the time. Clips a twentieth.
_EVERY = 30.0
_PAGE_PAUSE = 50.0
_CLIPS_PAUSE = 20.0


class Stopwatch:
    """Adds up what the parts of a run take, from one line of metrics to the next."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        """Starts from nothing.

        Args:
          clock: seconds, monotonic.
        """
        self._clock = clock
        self._taken: dict[str, float] = {}

    @contextlib.contextmanager
    def measured(self, part: str) -> Iterator[None]:
        """Counts what happens inside, if it is done, for ``part``."""
        start = self._clock()
        yield
        self._taken[part] = self._taken.get(part, 0.0) + self._clock() - start

    def seconds(self) -> dict[str, float]:
        """``timing/PART_seconds`` of each part that took any since this was last asked."""
        taken, self._taken = self._taken, {}
        return {f"timing/{part}_seconds": seconds for part, seconds in taken.items()}


class RunReport:
    """Writes ``report.html`` at evaluations, at lines of metrics and at the end.

    Whatever goes wrong is noted and forgotten.

    Args:
      folder: the run directory.
      setup: the run.
      step: of the state that this process starts from.
      note: told what went wrong, once for each kind.
      clock: seconds, monotonic.
    """

    def __init__(
        self,
        folder: Path,
        setup: Setup,
        *,
        step: int,
        note: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._folder, self._setup, self._note, self._clock = folder, setup, note, clock
        self._noted: set[type] = set()
        self._page_due = self._clips_due = clock()
        self._status: dict[str, Any] = {"total": setup.when.total, "starts": [step]}
        with self._guarded():
            before = _read(folder / "status.json").get("starts", [])
            self._status["starts"] = [*before, step]
        self.write(step)

    def write(self, step: int, state: str = "running", message: str = "") -> None:
        """Writes the page from what is in the run directory.

        Args:
          step: that the run has come to.
          state: running, finished, stopped, diverged or failed.
          message: why it has ended.
        """
        with self._guarded():
            self._put(step, state, message)

    def logged(self, step: int) -> None:
        """Writes the page, unless that was done a short while ago; clips are left as they are."""
        if self._clock() >= self._page_due:
            self.write(step)

    def evaluated(self, evaluation: Evaluation, figures: dict[str, Any], params: dict) -> None:
        """Draws the best and worst clips, and writes the page.

        Between evaluations that follow upon each other quickly no clips are drawn, but always at
        the end of the run.

        Args:
          evaluation: what was found.
          figures: the same, as ``evaluation.json`` will hold it.
          params: the judged parameters.
        """
        step = evaluation.step
        last = step == self._setup.when.total
        with self._guarded():
            if last or self._clock() >= self._clips_due:
                start = self._clock()
                write_clips(self._folder, self._setup, evaluation, params)
                self._clips_due = self._clock() + _CLIPS_PAUSE * (self._clock() - start)
        with self._guarded():
            self._put(step, "finished" if last else "running", evaluation=figures)

    def ended(self, step: int, error: VidtxError) -> None:
        """Writes the page of a run that has ended before its last step.

        Args:
          step: that it had come to.
          error: why it ended.
        """
        kinds = {StoppedError: "stopped", DivergedError: "diverged"}
        self.write(step, kinds.get(type(error), "failed"), str(error))

    def _put(
        self, step: int, state: str, message: str = "", evaluation: dict[str, Any] | None = None
    ) -> None:
        now = datetime.datetime.now(datetime.UTC)
        start = self._clock()
        self._status |= {"state": state, "step": step, "message": message}
        self._status["updated"] = f"{now:%Y-%m-%d %H:%M} UTC"
        write_json(self._folder / "status.json", self._status)
        write_page(self._folder, self._setup, evaluation=evaluation)
        now = self._clock()
        self._page_due = now + max(_EVERY, _PAGE_PAUSE * (now - start))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if type(error) not in self._noted:
                self._noted.add(type(error))
                self._note(
                    f"NOTE: the report could not be brought up to date ({error}). The run goes on."
                )


def write_clips(folder: Path, setup: Setup, evaluation: Evaluation, params: dict) -> None:
    """Writes ``clips.json``: the best and worst clips, or why they cannot be drawn.

    Args:
      folder: the run directory.
      setup: the run.
      evaluation: what was found.
      params: the judged parameters.

    Raises:
      OSError: it cannot be written.
      MachineError: it cannot be written to its bucket.
    """
    try:
        drawn = draw_clips(setup, evaluation, params)
    # A device without room for the maps, an encoder that is missing: the page says so.
    except Exception as error:
        note = f"The clips could not be drawn: {error}"
        drawn = {"step": evaluation.step, "note": note, "clips": []}
    write_json(folder / "clips.json", drawn)


def write_page(folder: Path, setup: Setup, *, evaluation: dict[str, Any] | None = None) -> Path:
    """Writes ``report.html`` from the other files of the run directory.

    Args:
      folder: the run directory.
      setup: the run.
      evaluation: in place of ``evaluation.json``.

    Returns:
      Its path.

    Raises:
      OSError, ValueError: a file cannot be read or written.
      MachineError: the bucket cannot be.
    """
    metrics, sheet = folder / "metrics.jsonl", folder / "contact_sheet.png"
    return write_report(
        folder,
        title=setup.spec.name,
        config=to_dict(setup.spec),
        dataset=setup.data.to_dict(),
        evaluation=_read(folder / "evaluation.json") if evaluation is None else evaluation,
        pictures={"contact_sheet": sheet} if exists(sheet) else {},
        metrics=read_metrics(metrics) if exists(metrics) else [],
        status=_read(folder / "status.json") or None,
        clips=_read(folder / "clips.json") or None,
        first_weights=_read(folder / "init_from.json") or None,
    )


def _read(path: Path) -> dict[str, Any]:
    """What a file holds; nothing if it is not there, or damaged, as all of them are made again."""
    try:
        return dict(json.loads(read_bytes(path)))
    except (FileNotFoundError, ValueError, TypeError):
        return {}
