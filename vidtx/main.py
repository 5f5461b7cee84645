"""Trains and evaluates.

    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions
    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions --mode=eval

``--config`` takes the path of a Python file with ``get_config(arg=None)``, or the bare name of an
experiment that comes with vidtx, such as ``k400_divided``; ``:arg`` may follow. Any option can be
changed on the command line: ``--config.train.global_batch=256``. The same command resumes a run
that was stopped. ``--mode=eval`` without ``--config`` takes the config of the run directory.
"""

import difflib
import errno
import os
import re
import sys
from typing import NoReturn

from absl import flags
from ml_collections import ConfigDict, config_flags

from vidtx import run
from vidtx.config import load_config, resolve
from vidtx.errors import ConfigError, MachineError, StoppedError, VidtxError
from vidtx.run.workdir import load_spec

_MODES = ("train", "eval")
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


def _parse(arguments: list[str]) -> tuple[flags.FlagValues, ConfigDict | None]:
    """The flags, and the config as changed by ``--config.…``; None where none is given."""
    reference, rest = _take_config(arguments)
    cleared = [match for match in map(_CLEARED.fullmatch, rest) if match]
    rest = ["vidtx.main", *(argument for argument in rest if not _CLEARED.fullmatch(argument))]
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "The run directory.", flag_values=values)
    flags.DEFINE_enum("mode", "train", _MODES, "What to do.", flag_values=values)
    flags.DEFINE_boolean("help", False, "Show this help.", flag_values=values, short_name="h")
    config = None if reference is None else load_config(reference)
    if config is not None:
        _check_keys(config, arguments)
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
    try:
        unexpected = values(rest)[1:]
        for match in cleared:
            config.update_from_flattened_dict({match["key"]: None})
    except (flags.Error, TypeError, ValueError) as error:
        raise ConfigError(f"{str(error).rstrip('.')}. See --help.") from error
    if unexpected:
        raise ConfigError(
            f"Unexpected argument {unexpected[0]!r}; options begin with --. See --help."
        )
    return values, config


_OPTION = re.compile(r"--?config\.(?P<key>[\w.]+)")
# ``--config.train.steps=None``, which has no text form that config_flags would read as None.
_CLEARED = re.compile(r"--?config\.(?P<key>[\w.]+)=[Nn]one")


def _check_keys(config: ConfigDict, arguments: list[str]) -> None:
    for match in filter(None, map(_OPTION.match, arguments)):
        group, name = config, "config"
        for key in match["key"].split("."):
            if not isinstance(group, ConfigDict) or key not in group:
                known = list(group) if isinstance(group, ConfigDict) else []
                close = difflib.get_close_matches(key, known, n=1)
                hint = (
                    f"did you mean {close[0]}?" if close else "experiments/defaults.py lists all."
                )
                raise ConfigError(f"--config.{match['key']}: {name} has no key {key!r}; {hint}")
            group, name = group[key], f"{name}.{key}"


def _take_config(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The value of ``--config``, and the other arguments."""
    reference, rest = None, []
    waiting = iter(arguments)
    for argument in waiting:
        if argument in ("--config", "-config"):
            reference = next(waiting, "")
        elif argument.startswith(("--config=", "-config=")):
            reference = argument.partition("=")[2]
        else:
            rest.append(argument)
    return reference, rest


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code (see `vidtx.errors`)."""
    try:
        values, config = _parse(sys.argv[1:] if arguments is None else arguments)
        if values.help:
            print(__doc__, values.get_help(), sep="\n")
            return 0
        if not values.workdir:
            raise ConfigError("--workdir is missing: the directory that the run is kept in.")
        if config is not None:
            spec = resolve(config, run.problems)
        elif values.mode == "eval":
            spec = load_spec(values.workdir, run.problems)
        else:
            raise ConfigError("--config is missing: the path or name of the run's config.")
        if values.mode == "train":
            run.run_train(spec, values.workdir)
        else:
            run.run_eval(spec, values.workdir)
    except VidtxError as error:
        return _fail(error)
    except KeyboardInterrupt:  # before or after the work that looks out for it
        return _fail(StoppedError("Stopped."))
    except OSError as error:
        if error.errno not in _STORAGE:
            raise
        return _fail(MachineError(f"{error}. Free space, or choose another place."))
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
