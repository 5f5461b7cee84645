"""How long the train step of a run takes on the devices that are here, alone or compared.

The program is the run's own; clips are noise. Reading, decoding and placing them on the devices is
left out of a step's time, as it goes on at the same time (see `vidtx.run.benchmark_all`).
"""

from collections.abc import Callable, Mapping, Sequence

import jax

from vidtx.config import RunSpec
from vidtx.errors import ConfigError, MachineError, VidtxError
from vidtx.run.benchmark_contender import States, StepContender
from vidtx.run.benchmark_results import ComparedStep, StepBenchmark, StepComparison
from vidtx.run.benchmark_rounds import Timing, time_in_turns

__all__ = ["benchmark_step", "compare_steps"]

# Where the first step lasts so long, seconds, what only a first one has to do is little of it.
_LONG_STEP = 10.0


def benchmark_step(
    spec: RunSpec,
    num_classes: int,
    *,
    seconds: float = 30.0,
    note: Callable[[str], None] = lambda text: None,
) -> StepBenchmark:
    """Measures the train step of a run.

    Args:
      spec: the run, without problems.
      num_classes: of its data set, which need not be there.
      seconds: for timing, once the step is compiled and has run for the first time. A step that
        takes longer is measured once.
      note: is told what is being done.

    Raises:
      ConfigError: what the run asks for cannot be had on these devices.
      MachineError: it does not fit in their memory.
    """
    contender = StepContender(spec, num_classes, States(), note)
    note("timing")
    (timing,) = _timings([contender], seconds)
    return contender.result(timing)


def _timings(contenders: Sequence[StepContender], seconds: float) -> list[Timing]:
    """The timing of contenders that have all taken their first step; see `time_in_turns`."""
    first = [contender.first_step_seconds for contender in contenders]
    if sum(first) >= seconds and min(first) >= _LONG_STEP:
        return [Timing.of([one], 1) for one in first]
    return time_in_turns(contenders, [one.estimate() for one in contenders], seconds)


def compare_steps(
    option: str,
    specs: Mapping[str, RunSpec | str],
    num_classes: int,
    *,
    seconds: float = 30.0,
    note: Callable[[str], None] = lambda text: None,
) -> StepComparison:
    """Measures train steps that differ in one option, round by round in turns.

    What the machine does besides hits all of them alike that way, and a ratio is one of steps that
    were taken at the same time. They share one train state where its shapes are the same.

    Args:
      option: in which they differ, such as ``model.attention``.
      specs: by the option's value, as it was typed; for one that is known not to run on these
        devices, the reason.
      num_classes: of their data set, which need not be there.
      seconds: for timing all of them together, once each has run for the first time.
      note: is told what is being done.

    Raises:
      ConfigError: none of them can run here; the message gives the reason of each.
      MachineError: the same, where one of the reasons is the machine.
    """
    states, contenders, failed = States(), {}, {}
    for value, spec in specs.items():
        if isinstance(spec, str):
            failed[value] = ConfigError(spec)
            continue

        def told(text: str, value: str = value) -> None:
            note(f"{option}={value}: {text}")

        try:
            contenders[value] = StepContender(spec, num_classes, states, told)
        except (VidtxError, jax.errors.JaxRuntimeError, NotImplementedError) as error:
            # Kernels of accelerators refuse some shapes only when they are compiled.
            known = isinstance(error, VidtxError)
            failed[value] = error if known else MachineError(str(error).partition("\n")[0])
            told("cannot run here")
    if not contenders:
        machine = any(isinstance(error, MachineError) for error in failed.values())
        reasons = "\n".join(f"  - {option}={value}: {error}" for value, error in failed.items())
        raise (MachineError if machine else ConfigError)(
            f"None of the values of --compare can run here:\n{reasons}"
        )
    note(f"timing {len(contenders)} in turns")
    timed = dict(zip(contenders, _timings(tuple(contenders.values()), seconds), strict=True))
    reference = next(iter(timed.values()))
    return StepComparison(
        option,
        tuple(
            ComparedStep(value, None, None, str(failed[value]))
            if value in failed
            else ComparedStep(
                value,
                contenders[value].result(timed[value]),
                timed[value].ratio_to(reference),
                None,
            )
            for value in specs
        ),
    )
