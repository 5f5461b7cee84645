"""How fast a host makes clips, by stage, and how many of its cores an accelerator would take."""

import dataclasses
from typing import Any

from data_pipelines.labels import check_labels
from data_pipelines.stages import STAGES, ClipCosts, measure
from vidtx.analysis import count_macs, peak_flops
from vidtx.config import MeshSpec, RunSpec
from vidtx.data_errors import data_errors_as_ours
from vidtx.reporting import format_table
from vidtx.run.data import RunData, clip_spec
from vidtx.run.setup import model_of
from vidtx.sharding import make_mesh

__all__ = ["CHIPS", "ChipNeed", "DataBenchmark", "benchmark_data"]

# Chips by their everyday names, as `jax.Device.device_kind` begins.
CHIPS = {
    "v3": "TPU v3",
    "v4": "TPU v4",
    "v5e": "TPU v5 lite",
    "v5p": "TPU v5",
    "v6e": "TPU v6 lite",
    "v100": "Tesla V100",
    "a100": "NVIDIA A100",
    "l4": "NVIDIA L4",
    "h100": "NVIDIA H100",
    "h200": "NVIDIA H200",
    "b200": "NVIDIA B200",
}


# With fewer, grain's shuffle walks long cycles: 4 ms a clip of 4 records, 0.1 of 200, 0.006 of
# 240,000.
_FEW_RECORDS = 200


@dataclasses.dataclass(frozen=True)
class ChipNeed:
    """What one chip would take; reckoned, not measured.

    Attributes:
      chip: a name of ``CHIPS``.
      clips_per_second: that it trains on.
      cores: of a host like the one that was measured, to make so many.
    """

    chip: str
    clips_per_second: float
    cores: float


@dataclasses.dataclass(frozen=True)
class DataBenchmark:
    """What was measured, and what follows.

    Attributes:
      source: data set and split.
      clip: (frames, height, width) of a clip.
      costs: CPU seconds of a clip.
      gmacs: multiply-adds of a clip's forward pass, in thousands of millions.
      utilisation: share of a chip's peak that training is taken to reach.
      chips: what each would take.
    """

    source: str
    clip: tuple[int, int, int]
    costs: ClipCosts
    gmacs: float
    utilisation: float
    chips: tuple[ChipNeed, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON; seconds are of CPU, for one clip."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Tables for a person."""
        costs, (frames, height, width) = self.costs, self.clip
        parts = sum(costs.stages.values())
        rows = [_row(stage, costs.stages[stage], parts) for stage in STAGES]
        rows += [
            _row("all of them", parts, None),
            _row("plain loop over batches", costs.plain, None),
            _row(f"loader, threads: {costs.threads}", costs.loader, None),
        ]
        needs = [
            (one.chip, f"{one.clips_per_second:.0f}", f"{one.cores:.1f}") for one in self.chips
        ]
        lines = [
            f"{self.source}: {costs.clips} training clips of {frames}×{height}×{width}, "
            f"{costs.stored_bytes / 1e3:.0f} KB of video a record",
            format_table(rows, ("stage", "CPU ms a clip", "clips/s/core", "share")),
            f"Overhead of the loader over the plain loop: {costs.overhead:+.0%}. It gave "
            f"{1 / costs.wall:.1f} clips a second here.",
        ]
        if costs.records < _FEW_RECORDS:
            lines.append(
                f"The split has {costs.records} records: shuffling so few costs the loader far "
                "more a clip than shuffling many does."
            )
        if costs.unreadable:
            lines.append(f"{costs.unreadable} records cannot be used and are not counted.")
        lines += [
            "",
            f"An estimate, not a measurement: {self.gmacs:.1f} GMACs a clip forward, three times "
            f"that to train, at {self.utilisation:.0%} of a chip's bfloat16 peak",
            format_table(needs, ("chip", "clips/s it takes", "cores of this kind")),
        ]
        return "\n".join(lines)


def benchmark_data(
    spec: RunSpec,
    *,
    split: str | None = None,
    records: int = 64,
    chips: tuple[str, ...] = tuple(CHIPS),
    utilisation: float = 0.4,
) -> DataBenchmark:
    """Measures training clips of a run on this host, without training.

    Args:
      spec: the run. Its loader is measured with its threads, and without worker processes.
      split: of the data set; the run's train split by default.
      records: clips that are measured in each way, rounded up to multiples of 24.
      chips: names of ``CHIPS``.
      utilisation: share of the chip's peak that training is taken to reach.

    Raises:
      ConfigError: there is no such data set or split.
      DataQualityError: it cannot be read.
    """
    mesh = make_mesh(MeshSpec(data=-1, fsdp=1))  # a clip does not depend on it
    data = RunData.open(spec, mesh, may_build=False)
    source = data.source(split or spec.data.train_split)
    with data_errors_as_ours():
        check_labels(source, spec.data.multi_label)
        costs = measure(
            source,
            clip_spec(spec),
            clips=records,
            seed=spec.seed,
            multi_label=spec.data.multi_label,
            threads=spec.data.threads,
        )
    macs = count_macs(model_of(spec, len(data.description.class_names))).total
    needs = []
    for chip in chips:
        # A training step is three forward passes, a multiply-add two operations.
        rate = utilisation * peak_flops(CHIPS[chip]) / (3 * 2 * macs)
        needs.append(ChipNeed(chip, rate, rate * costs.loader))
    return DataBenchmark(
        source=repr(source),
        clip=(spec.data.frames, *spec.data.image_size),
        costs=costs,
        gmacs=macs / 1e9,
        utilisation=utilisation,
        chips=tuple(needs),
    )


def _row(name: str, seconds: float, whole: float | None) -> tuple[str, str, str, str]:
    rate = f"{1 / seconds:.0f}" if seconds else "–"
    return name, f"{1e3 * seconds:.2f}", rate, "" if not whole else f"{seconds / whole:.0%}"
