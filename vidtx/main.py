"""Trains and evaluates.

    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions
    python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions --mode=eval

``--config`` takes the path of a Python file with ``get_config(arg=None)``, or the bare name of an
experiment that comes with vidtx, such as ``k400_divided``; ``:arg`` may follow. Any option can be
changed on the command line: ``--config.train.global_batch=256``. The same command resumes a run
that was stopped. ``--mode=eval`` without ``--config`` takes the config of the run directory.

Several processes are one job where each is given the same command, and ``--distributed`` on TPU
pods, under Slurm, Open MPI or Kubernetes, where JAX finds out about the others. Elsewhere each is
told of them, here the first of two, which is the one that runs on HOST:

    … --coordinator=HOST:PORT --num_processes=2 --process_id=0

All must see the same ``--workdir`` and hold the same data.
"""

import os
import sys
from typing import NoReturn

import jax
from absl import flags
from ml_collections import ConfigDict

from experiments.defaults import defaults
from vidtx import run
from vidtx.config import RunSpec, change, is_option, load_config, read_flags, resolve, to_dict
from vidtx.errors import ConfigError, MachineError, VidtxError, explain
from vidtx.run.workdir import read_config
from vidtx.sharding import job, processes

_MODES = ("train", "eval")
_JOB = ("coordinator", "num_processes", "process_id")
_TIMEOUTS = (
    ("join_timeout", 300, "Seconds to wait for the other processes at the start."),
    ("heartbeat_timeout", 100, "Seconds after which a process that is not heard of is given up."),
)


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
    flags.DEFINE_boolean(
        "distributed", False, "This process is one of several of a job.", flag_values=values
    )
    flags.DEFINE_string(
        "coordinator", None, "HOST:PORT where process 0 listens.", flag_values=values
    )
    flags.DEFINE_integer(
        "num_processes", None, "Number of processes of the job.", 1, flag_values=values
    )
    flags.DEFINE_integer("process_id", None, "Number of this process.", 0, flag_values=values)
    for name, seconds, meaning in _TIMEOUTS:
        flags.DEFINE_integer(name, seconds, meaning, 1, flag_values=values)
    read_flags(values, "vidtx.main", arguments)
    return values


def _join(values: flags.FlagValues) -> None:
    """Makes this process one of a job, if it is to be."""
    given = {name: values[name].value for name in _JOB}
    timeouts = {
        "timeout": values.join_timeout,
        "heartbeat_timeout": values.heartbeat_timeout,
    }
    absent = [f"--{name}" for name, value in given.items() if value is None]
    if len(absent) == len(_JOB):
        if values.distributed:
            job.join(None, None, None, **timeouts)
        return
    if absent:
        raise ConfigError(
            f"{' and '.join(absent)} is missing: --coordinator, --num_processes and --process_id "
            "go together. Where JAX finds out by itself, --distributed alone does."
        )
    host, _, port = values.coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ConfigError(
            f"--coordinator={values.coordinator}: write it as HOST:PORT, such as 10.0.0.1:1234."
        )
    if values.process_id >= values.num_processes:
        raise ConfigError(
            f"--process_id={values.process_id} must be less than --num_processes="
            f"{values.num_processes}; the first is 0."
        )
    job.join(*given.values(), **timeouts)


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
    _join(values)
    with job.ending_together():
        _run_mode(values, [argument for argument in arguments if is_option(argument)])


def _run_mode(values: flags.FlagValues, options: list[str]) -> None:
    def resolved() -> RunSpec:
        config = _config(values)
        change(config, options)
        return resolve(config, run.problems)

    spec = processes.agree(resolved)
    if jax.process_count() > processes.count():
        raise ConfigError(
            f"This is one of {jax.process_count()} processes: give --distributed to all of them."
        )
    _check_same_command(values.mode, spec)
    if values.mode == "train":
        run.run_train(spec, values.workdir)
    else:
        run.run_eval(spec, values.workdir)


def _check_same_command(mode: str, spec: RunSpec) -> None:
    """Refuses processes of one job that were given different commands."""
    config = to_dict(spec)
    for name in ("data_dir", "threads", "workers"):  # a machine's own matter
        del config["data"][name]
    processes.check_same({"mode": mode, "config": config}, "Give all of them the same command.")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code (see `vidtx.errors`)."""
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except (VidtxError, KeyboardInterrupt, OSError, RuntimeError) as error:
        known = explain(error)
        if known is None:
            raise
        return _fail(known)
    return 0


def _fail(error: VidtxError) -> int:
    if processes.is_lead() or not error.together:
        print(f"vidtx: {error}", file=sys.stderr, flush=True)
    return error.exit_code


def program() -> NoReturn:
    """Runs the command line and ends the process.

    After a failed write at once: threads that wait for storage would hold the process for minutes
    and tell the same failure again, with stack traces. In a job too, whose listening threads would
    crash the interpreter while it is taken down.
    """
    code = main()
    joined = jax.distributed.is_initialized()
    if joined:
        job.leave()
    sys.stdout.flush()
    sys.stderr.flush()
    if joined or code == MachineError.exit_code:
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    program()
