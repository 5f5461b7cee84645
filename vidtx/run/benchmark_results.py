"""What a benchmark of the train step has found, as numbers and as a table."""

import dataclasses
from typing import Any

from vidtx.reporting import format_table, percent
from vidtx.run.benchmark_program import Compilation, Devices, Memory, gigabytes
from vidtx.run.benchmark_rounds import Spread, Timing

__all__ = ["ComparedStep", "StepBenchmark", "StepComparison", "milliseconds"]


@dataclasses.dataclass(frozen=True)
class StepBenchmark:
    """What a train step costs.

    Attributes:
      run: name of the config.
      devices: it ran on.
      global_batch: clips of a step.
      clip: (frames, height, width) of a clip.
      dtype: of the computation.
      attention: what computes each attention step, by step.
      compilation: of the step.
      first_step_seconds: of the very first step.
      timing: of the steps after it, by round.
      steps_taken: in all, as the train state counts them; in a comparison, by all that share it.
      place_seconds: until a batch that lies in the memory of the host is on the devices.
      clips_per_second: of the median step, over all devices.
      clips_per_second_per_device: the same of one.
      gmacs: analytic multiply-adds of a clip's forward pass, in thousands of millions.
      model_tflops_per_second: that one device uses of them; a step is three forward passes.
      mfu: the same as a share of the chip's bfloat16 peak; None where the chip is not known.
      memory: on one device.
      compiler_flops: of a step on one device, by the compiler; None where it does not tell.
      compiler_bytes: that a step accesses on one device; the same.
      loops: whether the program has loops, whose body the compiler's two counts have once.
    """

    run: str
    devices: Devices
    global_batch: int
    clip: tuple[int, int, int]
    dtype: str
    attention: dict[str, str]
    compilation: Compilation
    first_step_seconds: float
    timing: Timing
    steps_taken: int
    place_seconds: float
    clips_per_second: float
    clips_per_second_per_device: float
    gmacs: float
    model_tflops_per_second: float
    mfu: float | None
    memory: Memory
    compiler_flops: float | None
    compiler_bytes: float | None
    loops: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Tables for a person."""
        seconds = self.timing.seconds
        peak = "" if self.mfu is None else f", {percent(self.mfu)} of the chip's peak (MFU)"
        rows = [
            ("devices", self.devices.text()),
            ("batch", self.batch_text()),
            ("attention", ", ".join(f"{step}: {name}" for step, name in self.attention.items())),
            ("memory", self.memory.text()),
            ("compiling", self.compilation.text()),
            ("first step", milliseconds(self.first_step_seconds)),
            ("a step", _of_rounds(self.timing)),
            ("quartiles", f"{milliseconds(seconds.low)} to {milliseconds(seconds.high)}"),
            ("clips/s", f"{self.clips_per_second:.4g}"),
            ("of a device", f"{self.clips_per_second_per_device:.4g}"),
            (
                "multiplying",
                f"{self.model_tflops_per_second:.4g} TFLOP/s a device by the model's "
                f"{self.gmacs:.4g} GMACs a clip{peak}",
            ),
            ("compiler", self._compiler()),
            ("placing", f"{milliseconds(self.place_seconds)} a batch, while a step is under way"),
        ]
        lines = [format_table(rows, (f"train step of {self.run}", "")), self.devices.caution()]
        return "\n".join(filter(None, lines))

    def batch_text(self) -> str:
        """What a step is given, for a person."""
        frames, height, width = self.clip
        return f"{self.global_batch} clips of {frames}×{height}×{width}, {self.dtype}"

    def _compiler(self) -> str:
        if self.compiler_flops is None or self.compiler_bytes is None:
            return "counts no operations here"
        once = "; the body of a loop is in this once" if self.loops else ""
        return (
            f"counts {self.compiler_flops / 1e12:.4g} TFLOP and "
            f"{gigabytes(self.compiler_bytes)} accessed, a step and device{once}"
        )


def milliseconds(seconds: float) -> str:
    """A time for a person: ``12.3 ms``."""
    return f"{1e3 * seconds:.4g} ms"


def _of_rounds(timing: Timing) -> str:
    median = milliseconds(timing.seconds.median)
    if len(timing.rounds) == 1:
        return f"{median}, a single measurement: allow more --seconds"
    return f"{median}, median of {len(timing.rounds)} rounds of {timing.steps}"


@dataclasses.dataclass(frozen=True)
class ComparedStep:
    """One value of a comparison.

    Attributes:
      value: of the option, as it was typed.
      found: what its step costs, or None where it cannot run here.
      ratio: how many times as long its step takes as that of the first value that runs, over
        rounds of both; None where it cannot run.
      reason: why it cannot run, or None.
    """

    value: str
    found: StepBenchmark | None
    ratio: Spread | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class StepComparison:
    """Train steps of configs that differ in one option, timed in turns.

    Attributes:
      option: such as ``model.attention``.
      steps: one for each of its values.
    """

    option: str
    steps: tuple[ComparedStep, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Tables for a person: what all share, then a row for each value."""
        ran = [step for step in self.steps if step.found is not None]
        found = [step.found for step in ran]
        rounds = len(found[0].timing.rounds)
        known = any(one.mfu is not None for one in found)
        headers = ("step", "quartiles", f"× {ran[0].value}", "quartiles", "clips/s")
        headers = (self.option, *headers, *(["MFU"] if known else []), "memory", "compiling")
        lines = [
            f"train step of {found[0].run}, "
            + ("a single measurement" if rounds == 1 else f"{rounds} rounds in turns"),
            *_shared("batch", [one.batch_text() for one in found]),
            *_shared("devices", [one.devices.text() for one in found]),
            format_table([_row(step, known) for step in ran], (*headers, "attention")),
            *(
                f"{self.option}={step.value} cannot run here: {step.reason}"
                for step in self.steps
                if step.reason is not None
            ),
            found[0].devices.caution(),
        ]
        return "\n".join(filter(None, lines))


def _shared(name: str, texts: list[str]) -> list[str]:
    """A line about what is the same for all, or none."""
    return [f"{name}: {texts[0]}"] if len(set(texts)) == 1 else []


def _row(step: ComparedStep, mfu: bool) -> tuple[str, ...]:
    found, seconds, ratio = step.found, step.found.timing.seconds, step.ratio
    return (
        step.value,
        milliseconds(seconds.median),
        f"{1e3 * seconds.low:.4g} to {1e3 * seconds.high:.4g}",
        f"{ratio.median:.3f}",
        f"{ratio.low:.3f} to {ratio.high:.3f}",
        f"{found.clips_per_second:.4g}",
        *([percent(found.mfu)] if mfu else []),
        gigabytes(found.memory.total),
        f"{found.compilation.compile_seconds:.1f} s",
        ", ".join(found.attention.values()),
    )
