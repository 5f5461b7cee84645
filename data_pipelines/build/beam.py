"""The same build as an Apache Beam pipeline, for many machines: Dataflow, Flink, Spark.

Needs the extra ``beam``, and no TensorFlow. The launching process plans and publishes, as a build
on one machine does; in between, workers take shards one by one. All they share is the data set's
folder, with the plan in it, and the videos: so both must lie where every worker finds them under
the same path, in a bucket or on a shared file system, and vidtx must be installed on every worker.

A worker builds each shard in a process of its own, so that a video which crashes or hangs the
decoder is dropped by name, as on one machine; else it would take the worker along, and be tried
again until Beam gives the whole pipeline up. Runners may run a shard twice, or twice at once: a
file appears under its name only when it is whole, and what is finished is not done again.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence

from etils import epath

from data_pipelines.build.jobs import ShardJob, ShardResult, finished, note_name
from data_pipelines.build.plan import read_plan
from data_pipelines.build.pool import run_jobs
from data_pipelines.build.progress import Progress
from data_pipelines.errors import BuildFailedError
from data_pipelines.extras import require
from data_pipelines.pool import cores
from data_pipelines.shards import BUILDING

__all__ = ["build_shard", "run_jobs_with_beam"]

_NAMESPACE = "vidtx"
_POLL_SECONDS = 0.1
_REPORT_SECONDS = 5.0

# Beam's DirectRunner prefers Prism, a program that it downloads. This one comes with Beam's own
# package, and shares work out over processes as a cluster does over machines.
_LOCAL = {"": "FnApiRunner", "DirectRunner": "FnApiRunner"}

_LOG = logging.getLogger(__name__)


def run_jobs_with_beam(
    jobs: Sequence[ShardJob],
    *,
    resumed: Sequence[ShardResult],
    total: int,
    options: Sequence[str],
    report: Callable[[Progress], None] = lambda progress: None,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Builds shards on the workers of a Beam runner; returns when they are all built.

    Args:
        jobs: Of the shards; a plan lies in their folder.
        resumed: What shards hold that were built before, for the report.
        total: Number of videos, of all shards.
        options: Beam's, such as ``["--runner=DataflowRunner", "--project=…", "--region=…"]``.
            ``DirectRunner``, and no runner at all, stand for the local ``FnApiRunner``, by default
            with a process for each core (``--direct_num_workers``).
        report: Called every few seconds, and at the end, with how far it has come. Whole shards are
            counted, not the videos of unfinished ones.
        between: Called about ten times a second. What it raises cancels the pipeline; finished
            shards stay.

    Raises:
        MissingExtraError: Apache Beam is not installed.
        ValueError: There is no such runner.
        BuildFailedError: The pipeline failed, or it ended and shards are not there.
    """
    require("apache_beam", "beam", "A build by Apache Beam (--runner)")
    if not jobs:
        return
    watch = _Watch(jobs, resumed, total)
    running = _Running(jobs, _pipeline_options(options))
    try:
        last = time.monotonic()
        while not running.wait(_POLL_SECONDS):
            between()
            if time.monotonic() - last > _REPORT_SECONDS:
                last = time.monotonic()
                report(watch.progress())
    except BaseException:
        running.cancel()
        raise
    running.check()
    progress = watch.progress()
    report(progress)
    if progress.shards < progress.total_shards:
        raise BuildFailedError(
            f"the Beam pipeline ended, and {progress.total_shards - progress.shards} of "
            f"{progress.total_shards} shards are not in {jobs[0].folder}. Workers on other "
            "machines must see that folder under the same path: choose an --out in a bucket or on "
            "a shared file system."
        )


def build_shard(job: str) -> str:
    """Builds one shard in a process of its own; what the pipeline's workers call.

    Args:
        job: A :class:`~data_pipelines.build.jobs.ShardJob` as JSON.

    Returns:
        Its split and number.

    Raises:
        BuildFailedError: The shard cannot be built, for a reason that lies in none of its videos.
            Beam tries again, here or elsewhere.
    """
    from apache_beam.metrics import Metrics

    content = json.loads(job)
    content["skip"] = {int(number): tuple(why) for number, why in content["skip"].items()}
    shard = ShardJob(**content)
    begun = time.monotonic()
    run_jobs([shard], resumed=(), total=0, workers=1)
    result = finished(read_plan(epath.Path(shard.folder)), shard)
    if result is None:
        raise BuildFailedError(f"{shard} was built, and is not there; was its folder deleted?")
    counts = {
        "shards": 1,
        "videos": result.videos,
        "records": len(result.digests),
        "bytes": result.num_bytes,
        "dropped": len(result.dropped),
    }
    for dropped in result.dropped:
        _LOG.warning("%s (%s) dropped: %s", dropped.video_id, dropped.kind, dropped.message)
        counts[f"dropped_{dropped.kind}"] = counts.get(f"dropped_{dropped.kind}", 0) + 1
    for name, count in counts.items():
        Metrics.counter(_NAMESPACE, name).inc(count)
    Metrics.distribution(_NAMESPACE, "seconds_a_shard").update(round(time.monotonic() - begun))
    return f"{shard.split}-{shard.number}"


class _Running:
    """A pipeline under way; in a thread, as some runners' ``run`` returns only at the end."""

    def __init__(self, jobs: Sequence[ShardJob], options):
        self._lines = [json.dumps(dataclasses.asdict(job)) for job in jobs]
        self._options = options
        self._result = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="beam", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Waits for the end, for so long at most; returns whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def check(self) -> None:
        """Raises what the pipeline has failed of."""
        if self._error is None:
            return
        lines = [line.strip() for line in str(self._error).splitlines() if line.strip()]
        cause = next((line for line in reversed(lines) if "Error: " in line), (lines or [""])[-1])
        raise BuildFailedError(
            f"the Beam pipeline failed: {type(self._error).__name__}: {cause}\nIts workers' logs "
            "tell more. Finished shards stay; mend this and run the same command again."
        ) from self._error

    def cancel(self) -> None:
        """Asks the runner to stop, if it can be asked."""
        if self._result is not None:
            try:
                self._result.cancel()
            except Exception as error:  # of any kind: each runner has its own
                _LOG.warning("the pipeline could not be cancelled: %s", error)

    def _run(self) -> None:
        try:
            import apache_beam as beam

            pipeline = beam.Pipeline(options=self._options)
            # Apart from the shuffle, a runner would give all shards to one worker.
            _ = (
                pipeline
                | "Shards" >> beam.Create(self._lines)
                | "Share out" >> beam.Reshuffle()
                | "Build" >> beam.Map(build_shard)
            )
            self._result = pipeline.run()
            state = self._result.wait_until_finish()
            if state not in (None, "DONE"):
                raise BuildFailedError(f"the Beam pipeline ended in state {state}.")
            _LOG.info("counted by the workers: %s", _counters(self._result))
        except BaseException as error:
            self._error = error


def _counters(result) -> dict[str, int]:
    """Returns what the workers have counted, as far as the runner tells."""
    try:
        found = result.metrics().query()["counters"]
    except Exception as error:  # of any kind: each runner has its own
        _LOG.warning("the runner tells no counts: %s", error)
        return {}
    return {
        counter.key.metric.name: counter.result
        for counter in found
        if counter.key.metric.namespace == _NAMESPACE
    }


def _pipeline_options(options: Sequence[str]):
    """Returns Beam's options of flags, with ours where nothing is said."""
    from apache_beam.options.pipeline_options import (
        DirectOptions,
        PipelineOptions,
        StandardOptions,
    )

    parsed = PipelineOptions(list(options))
    runner = parsed.view_as(StandardOptions)
    known = {path.rpartition(".")[2] for path in StandardOptions.ALL_KNOWN_RUNNERS}
    if runner.runner and "." not in runner.runner and runner.runner not in known:
        raise ValueError(f"Beam has no runner {runner.runner!r}; it has {sorted(known)}.")
    runner.runner = _LOCAL.get(runner.runner or "", runner.runner)
    if runner.runner == "FnApiRunner":
        direct = parsed.view_as(DirectOptions)
        if not any(option.startswith("--direct_num_workers") for option in options):
            direct.direct_num_workers = cores()
        direct.direct_running_mode = "multi_processing"
    return parsed


class _Watch:
    """Follows a build by the notes that finished shards leave."""

    def __init__(self, jobs: Sequence[ShardJob], resumed: Sequence[ShardResult], total: int):
        self._folder = epath.Path(jobs[0].folder)
        self._plan = read_plan(self._folder)
        # By the names of the notes that they will leave.
        self._waiting = {note_name(job): job for job in jobs}
        self._shards, self._total_shards = len(resumed), len(resumed) + len(jobs)
        self._videos = self._resumed = sum(result.videos for result in resumed)
        self._dropped = sum(len(result.dropped) for result in resumed)
        self._num_bytes = sum(result.num_bytes for result in resumed)
        self._total = total
        self._begun = time.monotonic()

    def progress(self) -> Progress:
        """Looks for new notes, and says how far the build has come."""
        for path in (self._folder / BUILDING).iterdir():
            job = self._waiting.get(path.name)
            result = job and finished(self._plan, job)
            if result:
                del self._waiting[path.name]
                self._shards += 1
                self._videos += result.videos
                self._dropped += len(result.dropped)
                self._num_bytes += result.num_bytes
        return Progress(
            videos=self._videos,
            total=self._total,
            resumed=self._resumed,
            dropped=self._dropped,
            num_bytes=self._num_bytes,
            shards=self._shards,
            total_shards=self._total_shards,
            seconds=time.monotonic() - self._begun,
        )
