"""What compiling a step ahead of time has told: numbers, as JSON, and as text for a person."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vidtx.analysis.collectives import Collective
from vidtx.analysis.compiled import Costs
from vidtx.analysis.roofline import Times
from vidtx.analysis.topology import Topology
from vidtx.reporting import format_table

_GIB = 2**30

FOOTNOTE = """\
Models, not measurements: nothing has run. Memory is as the compiler has laid it out. FLOPs are
those of all products in the program. HBM bytes: every instruction reads what it takes and writes
what it returns once, whole tiles, unless it lies in vector memory. Cycles are the compiler's own
estimate, which leaves out Pallas kernels (taken at the chip's peak here) and communication.
Roofline: products at the bfloat16 peak, or HBM bytes at its bandwidth. Communication: the least
that a ring sends, over all links at once; the network between slices is not modelled."""


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on each device.

    Attributes:
      weights: parameters.
      optimizer: the optimiser's state.
      averaged: averaged weights.
      batch: clips and labels.
      other: sums of metrics, the step's number.
      outputs: results that do not take the place of arguments.
      temporaries: all that the step computes on the way: activations, gradients.
      code: the program.
      peak: the compiler's own sum at the worst moment, which may be less than all kinds together.
      limit: what a program may use.
    """

    weights: int
    optimizer: int
    averaged: int
    batch: int
    other: int
    outputs: int
    temporaries: int
    code: int
    peak: int
    limit: int

    @property
    def arguments(self) -> int:
        """What is there before the step begins."""
        return self.weights + self.optimizer + self.averaged + self.batch + self.other

    @property
    def total(self) -> int:
        """All kinds together."""
        return self.arguments + self.outputs + self.temporaries + self.code


@dataclasses.dataclass(frozen=True)
class StepReport:
    """A step, compiled for a TPU slice. Amounts are of one device and one step unless named so.

    Attributes:
      name: of the run.
      mode: ``train`` or ``eval``.
      topology: the slice or slices.
      mesh: lengths of the mesh's axes.
      clips: that a step takes, over all devices.
      memory: bytes by kind.
      costs: work and traffic.
      times: seconds, by model.
      model_flops_per_clip: analytic, of a clip: two for each multiply-add, three passes to train.
      xla_flops: as XLA counts: element-wise work too, but bodies of loops once and no kernels.
      xla_bytes_accessed: as XLA counts: vector memory too, and loops once.
      lower_seconds: that it took to trace the step.
      compile_seconds: that it took to compile it, on this machine.
      versions: of JAX and libtpu, by which all of this moves.
    """

    name: str
    mode: str
    topology: Topology
    mesh: Mapping[str, int]
    clips: int
    memory: Memory
    costs: Costs
    times: Times
    model_flops_per_clip: int
    xla_flops: float
    xla_bytes_accessed: float
    lower_seconds: float
    compile_seconds: float
    versions: Mapping[str, str]

    @property
    def clips_per_device(self) -> float:
        """Clips of a step for each device; below 1 where devices share a clip."""
        return self.clips / self.topology.num_devices

    @property
    def mfu_bound(self) -> float:
        """Model FLOPs utilisation that the slowest model without communication allows, a share."""
        seconds = max(self.times.roofline, self.times.cycles or 0.0)
        work = self.model_flops_per_clip * self.clips_per_device
        return work / (self.topology.chip.peak_flops * seconds)

    @property
    def clips_per_second(self) -> float:
        """Clips a second of the whole slice, at the most."""
        return self.clips / self.times.step

    def collectives(self) -> dict[tuple[str, bool], tuple[int, int, float]]:
        """By kind and whether other work goes on meanwhile: runs, bytes and bytes sent, a step."""
        found: dict[tuple[str, bool], tuple[int, int, float]] = {}
        for one in self.costs.collectives:
            runs, size, sent = found.get((one.kind, one.is_async), (0, 0, 0.0))
            found[one.kind, one.is_async] = (
                runs + one.times,
                size + one.times * one.bytes,
                sent + one.times * one.wire_bytes,
            )
        return dict(sorted(found.items()))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON: bytes, FLOPs, cycles and seconds."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("topology", "memory", "costs", "times")
        }
        topology, chip = self.topology, self.topology.chip
        return values | {
            "mesh": dict(self.mesh),
            "versions": dict(self.versions),
            "topology": topology.name,
            "slices": topology.slices,
            "chips": topology.num_chips,
            "devices": topology.num_devices,
            "chip": dataclasses.asdict(chip) | {"peak_flops": chip.peak_flops, "clock": chip.clock},
            "clips_per_device": self.clips_per_device,
            "memory": dataclasses.asdict(self.memory)
            | {"arguments": self.memory.arguments, "total": self.memory.total},
            "costs": dataclasses.asdict(self.costs)
            | {"collectives": [_plain(one) for one in self.costs.collectives]},
            "times": dataclasses.asdict(self.times)
            | {
                "roofline": self.times.roofline,
                "bound": self.times.bound,
                "step": self.times.step,
            },
            "collectives": [
                {"kind": kind, "async": is_async, "count": runs, "bytes": size, "sent": sent}
                for (kind, is_async), (runs, size, sent) in self.collectives().items()
            ],
            "per_clip": self.per_clip,
            "mfu_bound": self.mfu_bound,
            "clips_per_second": self.clips_per_second,
        }

    @property
    def per_clip(self) -> dict[str, float | None]:
        """Work of one clip: FLOPs, bytes and cycles."""
        share, costs = self.clips_per_device, self.costs
        return {
            "flops": costs.flops / share,
            "hbm_bytes": costs.hbm_bytes / share,
            "accessed_bytes": costs.accessed_bytes / share,
            "cycles": None if costs.cycles is None else costs.cycles / share,
        }

    def text(self) -> str:
        """Tables for a person."""
        return "\n".join([*_head(self), "", _memory(self), "", _work(self), "", *_links(self)])


def _plain(one: Collective) -> dict[str, Any]:
    return dataclasses.asdict(one) | {"wire_bytes": one.wire_bytes}


def _head(report: StepReport) -> list[str]:
    topology = report.topology
    slices = f"{topology.slices} slices of " if topology.slices > 1 else ""
    chips = f"{topology.num_chips} chip{'s' if topology.num_chips > 1 else ''}"
    if topology.chip.devices_per_chip > 1:
        chips += f", {topology.num_devices} devices ({topology.chip.devices_per_chip} a chip)"
    mesh = " × ".join(f"{name} {length}" for name, length in report.mesh.items())
    return [
        f"{report.mode} step of {report.name} on {slices}{topology.name}: {chips}, mesh {mesh}",
        f"{report.clips:,} clips a step, {report.clips_per_device:g} on each device; compiled in "
        f"{report.compile_seconds:.0f} s (traced in {report.lower_seconds:.0f} s) by libtpu "
        f"{report.versions['libtpu']}, jax {report.versions['jax']}",
    ]


def _memory(report: StepReport) -> str:
    memory = report.memory
    rows = [
        ("weights", memory.weights),
        ("optimiser", memory.optimizer),
        ("averaged weights", memory.averaged),
        ("batch", memory.batch),
        ("metrics, step", memory.other),
        ("other results", memory.outputs),
        ("temporaries", memory.temporaries),
        ("program", memory.code),
        ("together", memory.total),
        ("at the worst moment, by the compiler", memory.peak),
        (f"a {report.topology.chip.name} device has", memory.limit),
    ]
    cells = [(name, f"{size / _GIB:.3f}", f"{size / memory.limit:.1%}") for name, size in rows]
    return format_table(cells, ("memory of each device", "GiB", "of HBM"))


def _work(report: StepReport) -> str:
    clip, times, chip = report.per_clip, report.times, report.topology.chip
    own = report.model_flops_per_clip
    cycles = "–" if clip["cycles"] is None else f"{clip['cycles'] / 1e6:,.3f}"
    rows = [
        ("TFLOPs of products a clip", f"{clip['flops'] / 1e12:.4f}"),
        ("TFLOPs of the model a clip", f"{own / 1e12:.4f}"),
        ("GB to and from HBM a clip", f"{clip['hbm_bytes'] / 1e9:.3f}"),
        ("GB accessed a clip, vector memory too", f"{clip['accessed_bytes'] / 1e9:.3f}"),
        ("millions of cycles a clip, by the compiler", cycles),
        ("ms a step: products at peak", f"{1e3 * times.compute:.3f}"),
        ("ms a step: HBM at its bandwidth", f"{1e3 * times.memory:.3f}"),
        (f"ms a step: roofline ({times.bound})", f"{1e3 * times.roofline:.3f}"),
    ]
    if times.cycles is not None:
        label = f"ms a step: cycles at {chip.clock / 1e9:.2f} GHz, and kernels"
        rows.append((label, f"{1e3 * times.cycles:.3f}"))
    rows += [
        ("ms a step: communication", f"{1e3 * times.communication:.3f}"),
        ("ms a step: of that, waited for", f"{1e3 * times.waited_for:.3f}"),
        ("MFU at most, without communication", f"{report.mfu_bound:.1%}"),
        ("clips a second of the slice, at most", f"{report.clips_per_second:,.1f}"),
    ]
    return format_table(rows, ("work of each device", "amount"))


def _links(report: StepReport) -> list[str]:
    found = report.collectives()
    rows = [
        (kind, "yes" if is_async else "no", runs, f"{size / 1e6:.3f}", f"{sent / 1e6:.3f}")
        for (kind, is_async), (runs, size, sent) in found.items()
    ]
    headers = ("communication", "behind other work", "times a step", "MB", "MB sent")
    lines = [format_table(rows, headers) if rows else "No communication between devices."]
    costs = report.costs
    for kernel in costs.kernels:
        known = (
            "of unknown work" if kernel.flops is None else f"{kernel.flops / 1e9:.2f} GFLOPs each"
        )
        lines.append(f"Pallas kernel {kernel.name}: {kernel.times} times a step, {known}.")
    if costs.loops:
        counts = ", ".join(map(str, costs.loops))
        lines.append(f"Loops are multiplied out; trips: {counts}.")
    if costs.unknown_loops:
        lines.append(
            f"{costs.unknown_loops} loops of unknown trip count are counted as one trip: FLOPs, "
            "bytes, cycles and communication are too low."
        )
    if costs.without_cycles:
        lines.append(
            f"{costs.without_cycles} instructions, small as a rule, have no estimate of cycles."
        )
    return [*lines, "", FOOTNOTE]
