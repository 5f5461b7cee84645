"""Trains a config once for each of its arguments, and compares the results in one table.

    python -m vidtx.compare --config=experiments/table1.py --workdir=runs/table1
    python -m vidtx.compare --config=table1 --workdir=runs/table1 --seeds=0,1,2

The config's file lists its arguments, ``ARGUMENTS = ("space", "joint")``; each is a row, each row
is trained once for every seed, as an ordinary run in ``WORKDIR/ARGUMENT/seed_N/``. Options such as
``--config.train.steps=700`` hold for all runs. The same command goes on with a comparison that was
stopped: finished runs are not repeated. Results: ``table.md``, ``table.json`` and ``curves.png`` in
the workdir, written again after every run.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import jax
from absl import flags

from vidtx.config import change, is_option, load_config, read_flags, resolve
from vidtx.config.arguments import compared_arguments
from vidtx.errors import ConfigError, VidtxError, explain
from vidtx.reporting.files import as_path
from vidtx.run import ComparedRun, problems_without_devices, run_comparison


def _parse(arguments: list[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    for name, meaning in {
        "config": "Path or name of the config; --config.key=value changes an option of all runs.",
        "arguments": "Only these, such as space,joint; instead of all ARGUMENTS of the config.",
        "seeds": "Of the runs of each row, such as 0,1,2; the config's own by default.",
        "workdir": "The directory of the comparison.",
    }.items():
        flags.DEFINE_string(name, None, meaning, flag_values=values)
    read_flags(values, "vidtx.compare", arguments)
    return values


def _seeds(text: str | None, options: Sequence[str]) -> list[int] | None:
    if text is None:
        return None
    if any(option.lstrip("-").startswith("config.seed=") for option in options):
        raise ConfigError("--seeds and --config.seed are both given; leave out one.")
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"--seeds={text}: write whole numbers, such as --seeds=0,1,2.")
    seeds = [int(part) for part in parts]
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds={text}: a seed is given twice; its run would be the same.")
    return seeds


def _compared_run(
    reference: str, argument: str, seed: int | None, options: Sequence[str]
) -> ComparedRun:
    options = [*options, *([] if seed is None else [f"--config.seed={seed}"])]
    reference = f"{reference}:{argument}"
    config = load_config(reference)
    try:
        change(config, options)
        spec = resolve(config, problems_without_devices)
    except ConfigError as error:
        raise ConfigError(f"--config={reference}: {error}") from error
    return ComparedRun(argument, spec, (f"--config={reference}", *options))


def _run(arguments: list[str]) -> None:
    options = [argument for argument in arguments if is_option(argument)]
    values = _parse([argument for argument in arguments if not is_option(argument)])
    if values.help:
        print(__doc__, values.get_help(), sep="\n")
        return
    for name, meaning in (("workdir", "the directory of the comparison"), ("config", "its config")):
        if not values[name].value:
            raise ConfigError(f"--{name} is missing: {meaning}.")
    wanted = values.arguments
    wanted = None if wanted is None else [part.strip() for part in wanted.split(",") if part]
    rows = compared_arguments(values.config, wanted)
    seeds = _seeds(values.seeds, options) or [None]
    runs = [_compared_run(values.config, row, seed, options) for seed in seeds for row in rows]
    title = f"{pathlib.Path(values.config).stem}: {', '.join(rows)}"
    run_comparison(runs, as_path(values.workdir), title=title)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code (see `vidtx.errors`)."""
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except (VidtxError, KeyboardInterrupt, OSError, RuntimeError) as error:
        known = explain(error)
        if known is None:
            raise
        print(f"vidtx: {known}", file=sys.stderr, flush=True)
        return known.exit_code
    return 0


def program() -> NoReturn:
    """Runs the command line and ends the process."""
    # This process only counts; accelerators are the runs' own.
    jax.config.update("jax_platforms", "cpu")
    sys.exit(main())


if __name__ == "__main__":
    program()
