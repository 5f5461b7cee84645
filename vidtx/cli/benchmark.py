"""``vidtx benchmark``: what this machine can do."""

import argparse
import json
import sys
from collections.abc import Callable

from vidtx.cli.arguments import share, whole_number

__all__ = ["add_commands"]

_INPUT = """Measures how fast this host makes training clips, stage by stage and through the
loader, and reckons how many of its cores an accelerator would take. Nothing is trained.

    vidtx benchmark input --config=k400_divided --config.data.data_dir=data
    vidtx benchmark input --config=k400_divided --chip=v5e --utilisation=0.5 --json

Times are CPU seconds, so that other work on the machine moves them little, and no more than a
file system's cache. What the accelerator takes is an estimate from the model's multiply-adds.
"""

_STEP = """Measures the run's own compiled train step on the devices that are here, with clips of
noise: how long it takes, clips a second, memory, and what the compiler counts. No data set is
needed, nothing is saved.

    vidtx benchmark step --config=k400_divided --config.model.dtype=bfloat16
    vidtx benchmark step --config=k400_divided --compare=model.attention=auto,xla,splash,cudnn
    vidtx benchmark step --config=k400_divided --compare=model.remat=none,products,full

--compare takes any one option of the config. The steps of its values are timed in turns, so that
what else the machine does hits all alike; each has its ratio to the first that runs. Values that
cannot run here are listed with the reason.
"""

_INFERENCE = """Measures the forward pass of the run's model on the devices that are here, with
clips of noise: latency from the host's memory and back, and clips a second, by the number of clips
that are judged at once. No data set is needed.

    vidtx benchmark inference --config=k400_divided --batch=1,8,32 --json
"""

_ALL = """Measures input, train step and inference of a run one after the other, and says what
bounds its training: what the host feeds against what the step takes. The data set must be there.

    vidtx benchmark all --config=motions --config.data.data_dir=data
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx benchmark`` and what it measures."""
    parser = commands.add_parser("benchmark", help="measure what this machine can do")
    own = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    # The name that it had while there was nothing else to measure.
    data = _add(own, "input", run_input, "clips a second of each stage", _INPUT, aliases=["data"])
    _add_input(data)
    data.add_argument(
        "--chip", metavar="CHIP", help="reckon for this one alone, such as v5e or h100"
    )
    data.add_argument(
        "--utilisation",
        type=share,
        default=0.4,
        metavar="SHARE",
        help="of the chip's peak that training is taken to reach (default: 0.4)",
    )
    step = _add(own, "step", run_step, "the compiled train step on these devices", _STEP)
    step.add_argument(
        "--compare",
        metavar="OPTION=VALUE,…",
        help="time the step with each value of an option, such as model.remat=none,full",
    )
    inference = _add(own, "inference", run_inference, "the forward pass, by batch", _INFERENCE)
    whole = _add(own, "all", run_all, "all three, and what bounds training", _ALL)
    _add_input(whole)
    for measured in (step, inference, whole):
        measured.add_argument(
            "--seconds",
            type=_seconds,
            default=30.0,
            metavar="S",
            help="for timing, beside compiling and first steps (default: 30)",
        )
        measured.add_argument(
            "--classes", type=whole_number(1), metavar="N", help="of a data set that is not known"
        )
    for measured in (inference, whole):
        measured.add_argument(
            "--batch",
            type=_batches,
            metavar="N,…",
            help="clips that are judged at once (default: 1, 8 and 32 for each part of the mesh)",
        )


def _add(
    own: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int],
    described: str,
    description: str,
    **options: object,
) -> argparse.ArgumentParser:
    """Registers a command that measures something of a config."""
    parser = own.add_parser(name, help=described, description=description, **options)
    parser.add_argument("--config", required=True, help="path or name of a run's config")
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    parser.set_defaults(run=run, takes_config=True)
    return parser


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", help="other than the config's train split, such as train[:10%%]")
    parser.add_argument(
        "--records",
        type=whole_number(1),
        default=64,
        metavar="N",
        help="clips measured in each way, rounded up to a multiple of 24 (default: 64)",
    )


def _seconds(text: str) -> float:
    """The type of a time that is spent."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds above 0")
    return value


def _batches(text: str) -> tuple[int, ...]:
    """The type of a list of batch sizes."""
    sizes = tuple(map(whole_number(1), text.split(",")))
    return tuple(dict.fromkeys(sizes))


def run_input(options: argparse.Namespace) -> int:
    """Measures the host's part and prints it."""
    # Here, as building and auditing are to start without JAX.
    import jax

    from vidtx.cli.benchmark_options import resolved
    from vidtx.errors import ConfigError
    from vidtx.run import problems_without_devices
    from vidtx.run.benchmark_data import CHIPS, benchmark_data

    chip = options.chip and options.chip.lower()
    if chip is not None and chip not in CHIPS:
        raise ConfigError(f"--chip={options.chip} is not known; known are {', '.join(CHIPS)}.")
    # Only the host is measured; another program may be using the accelerator.
    jax.config.update("jax_platforms", "cpu")
    found = benchmark_data(
        resolved(options, problems_without_devices),
        split=options.split,
        records=options.records,
        chips=(chip,) if chip else tuple(CHIPS),
        utilisation=options.utilisation,
    )
    return _print(found, options)


def run_step(options: argparse.Namespace) -> int:
    """Measures the train step, or several, and prints it."""
    from vidtx.cli.benchmark_options import compared, resolved
    from vidtx.run import problems
    from vidtx.run.benchmark_step import benchmark_step, compare_steps
    from vidtx.run.programs import num_classes_of

    timing = {"seconds": options.seconds, "note": _note}
    if options.compare is None:
        spec = resolved(options, problems)
        return _print(
            benchmark_step(spec, num_classes_of(spec, options.classes), **timing), options
        )
    option, specs, first = compared(options, problems)
    classes = num_classes_of(first, options.classes)
    return _print(compare_steps(option, specs, classes, **timing), options)


def run_inference(options: argparse.Namespace) -> int:
    """Measures the forward pass and prints it."""
    from vidtx.cli.benchmark_options import resolved
    from vidtx.run import problems
    from vidtx.run.benchmark_inference import benchmark_inference
    from vidtx.run.programs import num_classes_of

    spec = resolved(options, problems)
    found = benchmark_inference(
        spec,
        num_classes_of(spec, options.classes),
        batches=options.batch,
        seconds=options.seconds,
        note=_note,
    )
    return _print(found, options)


def run_all(options: argparse.Namespace) -> int:
    """Measures everything and prints it."""
    from vidtx.cli.benchmark_options import resolved
    from vidtx.run import problems
    from vidtx.run.benchmark_all import benchmark_all

    found = benchmark_all(
        resolved(options, problems),
        options.classes,
        split=options.split,
        records=options.records,
        batches=options.batch,
        seconds=options.seconds,
        note=_note,
    )
    return _print(found, options)


def _note(text: str) -> None:
    """Says on standard error what takes its time."""
    print(f"… {text}", file=sys.stderr, flush=True)


def _print(found, options: argparse.Namespace) -> int:
    print(json.dumps(found.to_dict()) if options.json else found.text())
    return 0
