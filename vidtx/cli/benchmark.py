"""``vidtx benchmark``: what this machine can do."""

import argparse
import json

from vidtx.cli.arguments import share, whole_number

__all__ = ["add_commands"]

_DESCRIPTION = """Measures how fast this host makes training clips, stage by stage and through the
loader, and reckons how many of its cores an accelerator would take. Nothing is trained.

    vidtx benchmark data --config=k400_divided --config.data.data_dir=data
    vidtx benchmark data --config=k400_divided --chip=v5e --utilisation=0.5 --json

Times are CPU seconds, so that other work on the machine moves them little, and no more than a
file system's cache. What the accelerator takes is an estimate from the model's multiply-adds.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx benchmark`` and what it measures."""
    parser = commands.add_parser("benchmark", help="measure what this machine can do")
    own = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    data = own.add_parser(
        "data", help="clips a second of each stage of the data", description=_DESCRIPTION
    )
    data.add_argument("--config", required=True, help="path or name of a run's config")
    data.add_argument("--split", help="other than the config's train split, such as train[:10%%]")
    data.add_argument(
        "--records",
        type=whole_number(1),
        default=64,
        metavar="N",
        help="clips measured in each way, rounded up to a multiple of 24 (default: 64)",
    )
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
    data.add_argument("--json", action="store_true", help="print one JSON value")
    data.set_defaults(run=run, takes_config=True)


def run(options: argparse.Namespace) -> int:
    """Measures and prints."""
    # Here, as building and auditing are to start without JAX.
    import jax

    from vidtx.config import change, load_config, resolve
    from vidtx.errors import ConfigError
    from vidtx.run import problems_without_devices
    from vidtx.run.benchmark_data import CHIPS, benchmark_data

    chip = options.chip and options.chip.lower()
    if chip is not None and chip not in CHIPS:
        raise ConfigError(f"--chip={options.chip} is not known; known are {', '.join(CHIPS)}.")
    # Only the host is measured; another program may be using the accelerator.
    jax.config.update("jax_platforms", "cpu")
    config = load_config(options.config)
    change(config, options.changes)
    found = benchmark_data(
        resolve(config, problems_without_devices),
        split=options.split,
        records=options.records,
        chips=(chip,) if chip else tuple(CHIPS),
        utilisation=options.utilisation,
    )
    print(json.dumps(found.to_dict()) if options.json else found.text())
    return 0
