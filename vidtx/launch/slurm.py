"""A run on a GPU cluster under Slurm: one process on each node, with all of its GPUs."""

import dataclasses
import re
import shlex
from collections.abc import Iterator

from vidtx.errors import StoppedError
from vidtx.launch.commands import HEADER, Command, command, lines
from vidtx.launch.training import Training

__all__ = ["SlurmRun"]

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
# Minutes, minutes:seconds, hours:minutes:seconds, days-hours, and days-hours with either.
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")


@dataclasses.dataclass(frozen=True)
class SlurmRun:
    """A run as a batch job.

    Attributes:
      name: of the job.
      nodes: machines, each with one process.
      gpus: of each node.
      cpus: cores of each node for decoding, or None for the cluster's default.
      time: the job's limit, as sbatch has it, or None for the cluster's.
      stop_before: seconds before that limit at which the run is told to save its state and stop.
      partition: of the cluster, or None for its default.
      account: that pays, or None for the default.
      python: the program, in an environment with vidtx that all nodes see.
      setup: lines of shell that come before, such as ``module load cuda``.
      options: more options of sbatch.
      restarts: how often the job is queued again.
      training: the run.
    """

    name: str
    nodes: int
    gpus: int
    cpus: int | None
    time: str | None
    stop_before: int
    partition: str | None
    account: str | None
    python: str
    setup: tuple[str, ...]
    options: tuple[str, ...]
    restarts: int
    training: Training

    def problems(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        if not _NAME.fullmatch(self.name):
            yield f"--name={self.name}: letters, digits and _ . - only."
        limit = None if self.time is None else _seconds(self.time)
        if self.time is not None and limit is None:
            yield f"--time={self.time}: write it as HOURS:MINUTES:SECONDS or DAYS-HOURS, as sbatch."
        elif limit is not None and limit <= self.stop_before:
            yield (
                f"--time={self.time} is {limit} s, of which --stop_before={self.stop_before} are "
                "kept for saving: nothing is left to train in."
            )
        for option in self.options:
            if not option.startswith("-") or "\n" in option:
                yield f"--create_option={option}: write it as --create_option=--qos=high."
        yield from self.training.problems(bucket=False)

    def command(self) -> Command:
        """Submits it."""
        return command(
            f"Submit it: {self.nodes} nodes of {self.gpus} GPUs, a process on each node.",
            *("sbatch", "--parsable"),
            given=self.batch(),
        )

    def script(self) -> str:
        """The same as a shell script."""
        return f"{HEADER}\n\n{lines(self.command())}\n"

    def batch(self) -> str:
        """The batch script, which Slurm runs on the first node, again after each requeue."""
        options = [
            f"--job-name={self.name}",
            f"--nodes={self.nodes}",
            "--ntasks-per-node=1",
            f"--gpus-per-node={self.gpus}",
            *([] if self.cpus is None else [f"--cpus-per-task={self.cpus}"]),
            *([] if self.time is None else [f"--time={self.time}"]),
            *([] if self.partition is None else [f"--partition={self.partition}"]),
            *([] if self.account is None else [f"--account={self.account}"]),
            # To the steps, and not to this script.
            f"--signal=TERM@{self.stop_before}",
            "--requeue",
            "--open-mode=append",
            "--output=%x-%j.log",
            *self.options,
        ]
        header = "\n".join(f"#SBATCH {option}" for option in options)
        devices = ",".join(map(str, range(self.gpus)))
        cores = "" if self.cpus is None else f" --cpus-per-task={self.cpus}"
        config = str(self.training.config)
        run = shlex.join(self.training.words(config, distributed=self.nodes > 1))
        setup = "".join(f"{line}\n" for line in self.setup)
        resumable = StoppedError.exit_code
        return f"""#!/bin/bash
{header}

{setup}# Under Slurm, JAX gives a process one GPU of its node, unless it is told otherwise.
export JAX_LOCAL_DEVICE_IDS={devices}

# Slurm signals this script as well where the job is cancelled, or preempted, which requeues it.
ended=
trap 'ended=1' TERM
code=0
srun --ntasks-per-node=1{cores} --kill-on-bad-exit=0 {shlex.quote(self.python)} -u {run} || code=$?

# {resumable}: stopped by a signal, with its state saved. Anything else would only happen again.
if [ "$code" = {resumable} ] && [ -z "$ended" ]; then
  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {self.restarts} ]; then
    scontrol requeue "$SLURM_JOB_ID"
  else
    echo "vidtx: requeued {self.restarts} times; submit it again to go on." >&2
  fi
fi
exit "$code"
"""


def _seconds(text: str) -> int | None:
    """A time of sbatch in seconds, or None if it is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:  # hours[:minutes[:seconds]]
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:  # minutes[:seconds]
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    return ((int(found["days"] or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
