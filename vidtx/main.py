"""Trains and evaluates.

    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions
    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions --mode=eval

``--config`` takes the path of a Python file with ``get_config(arg=None)``, or the bare name of an
experiment that comes with vidtx, such as ``k400_divided``; ``:arg`` may follow. Any option can be
changed on the command line: ``--config.train.global_batch=256``. The same command resumes a run
that was stopped. ``--mode=eval`` without ``--config`` takes the config of the run directory.
"""

import errno
import sys

from absl import flags
from ml_collections import config_flags

from vidtx import run
from vidtx.config import find_config, resolve
from vidtx.errors import ConfigError, MachineError, VidtxError
from vidtx.run.workdir import load_spec

_MODES = ("train", "eval")
_FULL_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def _flags(command: list[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config",
        None,
        "Path or name of the run's config.",
        lock_config=True,
        flag_values=values,
        sys_argv=command,
    )
    flags.DEFINE_string("workdir", None, "The run directory.", flag_values=values)
    flags.DEFINE_enum("mode", "train", _MODES, "What to do.", flag_values=values)
    flags.DEFINE_boolean("help", False, "Show this help.", flag_values=values, short_name="h")
    return values


def _with_config_found(arguments: list[str]) -> list[str]:
    """Replaces the value of ``--config`` by the path of the file that it names."""
    found = list(arguments)
    for place, argument in enumerate(arguments):
        if argument in ("--config", "-config") and place + 1 < len(arguments):
            found[place + 1] = find_config(arguments[place + 1])
        elif argument.startswith(("--config=", "-config=")):
            flag, _, reference = argument.partition("=")
            found[place] = f"{flag}={find_config(reference)}"
    return found


def _parse(arguments: list[str]) -> flags.FlagValues:
    command = ["vidtx.main", *_with_config_found(arguments)]
    values = _flags(command)
    try:
        rest = values(command)[1:]
    except (KeyError, AttributeError) as error:
        raise ConfigError(
            f"A --config. option names a key that the config has not: {error}. "
            "experiments/defaults.py lists them all."
        ) from error
    except (flags.Error, TypeError, ValueError) as error:
        raise ConfigError(f"{error}. See --help.") from error
    if rest:
        raise ConfigError(f"Unexpected argument {rest[0]!r}; options begin with --. See --help.")
    if not values.help and values.workdir is None:
        raise ConfigError("--workdir is missing: the directory that the run is kept in.")
    if not values.help and values.config is None and values.mode == "train":
        raise ConfigError("--config is missing: the path or name of the run's config.")
    return values


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code (see `vidtx.errors`)."""
    try:
        values = _parse(sys.argv[1:] if arguments is None else arguments)
        if values.help:
            print(f"{__doc__}\n{values.main_module_help() or values.get_help()}")
            return 0
        if values.config is None:
            spec = load_spec(values.workdir, run.problems)
        else:
            spec = resolve(values.config, run.problems)
        if values.mode == "train":
            run.run_train(spec, values.workdir)
        else:
            run.run_eval(spec, values.workdir)
    except VidtxError as error:
        return _fail(error)
    except OSError as error:
        if error.errno not in _FULL_STORAGE:
            raise
        return _fail(MachineError(f"{error}. Free space, or choose another place."))
    return 0


def _fail(error: VidtxError) -> int:
    print(f"vidtx: {error}", file=sys.stderr, flush=True)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
