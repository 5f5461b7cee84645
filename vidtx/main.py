"""Trains and evaluates.

    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions
    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions --mode=eval

``--config`` takes the path of a Python file with ``get_config(arg=None)``, or the bare name of an
experiment that comes with vidtx, such as ``k400_divided``; ``:arg`` may follow. Any option can be
changed on the command line: ``--config.train.global_batch=256``. The same command resumes a run
that was stopped. ``--mode=eval`` without ``--config`` takes the config of the run directory.
"""

import errno
import os
import sys
from typing import NoReturn

import jax
from absl import flags
from ml_collections import ConfigDict

from experiments.defaults import defaults
from vidtx import run
from vidtx.config import change, is_option, load_config, resolve
from vidtx.errors import ConfigError, MachineError, StoppedError, VidtxError
from vidtx.run.workdir import read_config

_MODES = ("train", "eval")
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_MACHINE = ("RESOURCE_EXHAUSTED", "Unable to initialize backend")


def _parse(arguments: list[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string(
        "config",
        None,
        "Path or name of the run's config; --config.key=value changes an option of it.",
        flag_values=values,
    )
    flags.DEFINE_string("workdir", None, "The run directory.", flag_values=values)
    flags.DEFINE_enum(
        "mode",
        "train",
        _MODES,
        "Train, or evaluate the newest checkpoint again.",
        flag_values=values,
    )
    flags.DEFINE_boolean("help", False, "Show this help.", flag_values=values, short_name="h")
    try:
        unexpected = values(["vidtx.main", *arguments])[1:]
    except flags.Error as error:
        raise ConfigError(f"{str(error).rstrip('.? ')}. See --help.") from error
    if unexpected:
        raise ConfigError(
            f"Unexpected argument {unexpected[0]!r}; options begin with --. See --help."
        )
    return values


def _config(values: flags.FlagValues) -> ConfigDict:
    if values.config is not None:
        return load_config(values.config)
    if values.mode == "train":
        raise ConfigError("--config is missing: the path or name of the run's config.")
    config = defaults()
    config.update(read_config(values.workdir))
    return config


def _run(arguments: list[str]) -> None:
    values = _parse([argument for argument in arguments if not is_option(argument)])
    if values.help:
        print(__doc__, values.get_help(), sep="\n")
        return
    if not values.workdir:
        raise ConfigError("--workdir is missing: the directory that the run is kept in.")
    config = _config(values)
    change(config, [argument for argument in arguments if is_option(argument)])
    spec = resolve(config, run.problems)
    if values.mode == "train":
        run.run_train(spec, values.workdir)
    else:
        run.run_eval(spec, values.workdir)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code (see `vidtx.errors`)."""
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except VidtxError as error:
        return _fail(error)
    except KeyboardInterrupt:  # before or after the work that looks out for it
        return _fail(
            StoppedError("Stopped at once. The same command goes on from the newest checkpoint.")
        )
    except OSError as error:
        if error.errno not in _STORAGE:
            raise
        return _fail(MachineError(f"{error}. Free space, or choose another place."))
    except (jax.errors.JaxRuntimeError, RuntimeError) as error:
        if not any(sign in str(error) for sign in _MACHINE):
            raise
        return _fail(
            MachineError(
                f"{error}\nThe run does not fit this machine, or its accelerator cannot be used: "
                "lower train.global_batch, raise mesh.fsdp, or mend the installation."
            )
        )
    return 0


def _fail(error: VidtxError) -> int:
    print(f"vidtx: {error}", file=sys.stderr, flush=True)
    return error.exit_code


def program() -> NoReturn:
    """Runs the command line and ends the process.

    After a failed write at once: threads that wait for storage would hold the process for minutes
    and tell the same failure again, with stack traces.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if code == MachineError.exit_code:
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    program()
