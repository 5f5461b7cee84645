"""Input, train step and inference of a run, one after the other, and what bounds its training."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax

from vidtx.config import RunSpec
from vidtx.reporting import format_table, percent
from vidtx.run.benchmark_data import DataBenchmark, benchmark_data
from vidtx.run.benchmark_inference import InferenceBenchmark, benchmark_inference
from vidtx.run.benchmark_results import StepBenchmark
from vidtx.run.benchmark_step import benchmark_step
from vidtx.run.data import RunData
from vidtx.sharding import make_mesh

__all__ = ["Bound", "RunBenchmark", "benchmark_all"]


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a host gives its devices against what they take, in clips a second.

    Attributes:
      fed: that the loader makes on this host, with the run's threads and no processes of its own.
      fed_at_most: that all of its processor's cores could make, if nothing else ran on them.
      placed: that get from the host's memory to its devices.
      eaten: that the train step takes on this host's devices.
      bound: what is the slowest: input, placing or step.
      input_bound_share: of the time, that the devices would wait for clips; 0 where they would not.
      cores: of the host.
      cores_needed: to make as many clips as are eaten.
    """

    fed: float
    fed_at_most: float
    placed: float
    eaten: float
    bound: str
    input_bound_share: float
    cores: int
    cores_needed: float

    @classmethod
    def of(cls, data: DataBenchmark, step: StepBenchmark) -> "Bound":
        """Reckoned from what was measured."""
        costs, cores = data.costs, len(os.sched_getaffinity(0))
        eaten = step.clips_per_second / jax.process_count()
        rates = {
            "input": 1 / costs.wall,
            "placing": step.global_batch / jax.process_count() / step.place_seconds,
            "step": eaten,
        }
        slowest = min(rates, key=rates.__getitem__)
        return cls(
            fed=rates["input"],
            fed_at_most=cores / costs.loader,
            placed=rates["placing"],
            eaten=eaten,
            bound=slowest,
            input_bound_share=max(0.0, 1 - min(rates.values()) / eaten),
            cores=cores,
            cores_needed=eaten * costs.loader,
        )

    def text(self) -> str:
        """A table and a verdict for a person."""
        rows = [
            ("loader, with the run's threads", f"{self.fed:.4g}"),
            (f"loader, if it had all {self.cores} cores", f"{self.fed_at_most:.4g}"),
            ("placing on the devices", f"{self.placed:.4g}"),
            ("train step", f"{self.eaten:.4g}"),
        ]
        verdict = {
            "input": "The loader bounds training: give it more data.threads or data.workers, the "
            "host more cores, or store smaller videos.",
            "placing": "The way to the devices bounds training: smaller clips, or more hosts.",
            "step": "The train step bounds training, as it should.",
        }[self.bound]
        return "\n".join(
            [
                format_table(rows, ("of this host", "clips/s")),
                f"{verdict} The devices would wait for clips {percent(self.input_bound_share)} of "
                f"the time; {self.cores_needed:.1f} cores of this kind make as many as they take.",
            ]
        )


@dataclasses.dataclass(frozen=True)
class RunBenchmark:
    """All of it.

    Attributes:
      input: what clips cost the host.
      step: what the train step costs.
      inference: what the forward pass costs, by batch size.
      bound: what bounds training.
    """

    input: DataBenchmark
    step: StepBenchmark
    inference: InferenceBenchmark
    bound: Bound

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Tables for a person."""
        shared = (
            "\nHere the loader and the train step would share the same cores: together they are "
            "slower than each alone."
            if self.step.devices.platform == "cpu"
            else ""
        )
        parts = (self.input, self.step, self.inference, self.bound)
        return "\n\n".join(part.text() for part in parts) + shared


def benchmark_all(
    spec: RunSpec,
    num_classes: int | None = None,
    *,
    split: str | None = None,
    records: int = 64,
    batches: Sequence[int] | None = None,
    seconds: float = 30.0,
    note: Callable[[str], None] = lambda text: None,
) -> RunBenchmark:
    """Measures input, train step and inference of a run whose data set is there.

    Args:
      spec: the run, without problems.
      num_classes: the data set's by default.
      split: whose clips are made, as of `benchmark_data`.
      records: clips that are made in each way, the same.
      batches: as of `benchmark_inference`.
      seconds: for timing the step, and as many for inference.
      note: is told what is being done.

    Raises:
      ConfigError: there is no such data set, or the run asks for what these devices have not.
      DataQualityError: the data set cannot be read.
      MachineError: something does not fit in memory.
    """
    note("input")
    data = benchmark_data(spec, split=split, records=records)
    if num_classes is None:
        opened = RunData.open(spec, make_mesh(spec.mesh), may_build=False)
        num_classes = len(opened.description.class_names)
    step = benchmark_step(
        spec, num_classes, seconds=seconds, note=lambda text: note(f"train step: {text}")
    )
    inference = benchmark_inference(
        spec,
        num_classes,
        batches=batches,
        seconds=seconds,
        note=lambda text: note(f"inference: {text}"),
    )
    return RunBenchmark(data, step, inference, Bound.of(data, step))
