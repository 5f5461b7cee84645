"""TPU machines as gcloud makes, asks for and deletes them: a TPU VM, and a queued resource."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from vidtx.errors import MachineError, StoppedError
from vidtx.launch.accelerators import Accelerator
from vidtx.launch.commands import Command, command, shell

__all__ = ["Machine", "QueuedSlices", "TpuVm", "region_of"]

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_ZONE = re.compile(r"[a-z]+-[a-z]+[0-9]+-[a-z]")
_DURATION = re.compile(r"[1-9][0-9]*[smhd]")
# The service account's own rights then decide what the machines may read and write.
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def region_of(zone: str) -> str:
    """The region that a zone is in: ``us-west4`` of ``us-west4-a``."""
    return zone.rpartition("-")[0]


def name_problems(name: str, zone: str) -> Iterator[str]:
    """What is wrong with a name or a zone, a sentence each."""
    if not _NAME.fullmatch(name):
        yield (
            f"--name={name}: up to 40 small letters, digits and hyphens, a letter first and no "
            "hyphen last."
        )
    if not _ZONE.fullmatch(zone):
        yield f"--zone={zone}: zones are written as us-west4-a is."


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a run is given for itself. Subclasses say how it is come by.

    Attributes:
      name: of it.
      project: of Google Cloud, or None for the one that gcloud is set to.
      zone: where it is.
      accelerator: the type of each slice.
      slices: how many of them.
      runtime: version of the software that its hosts start with.
      spot: whether it is cheaper, and may be taken away at any time.
      service_account: whose rights its hosts have, or None for the project's default.
      options: more options of the command that creates it.
    """

    name: str
    project: str | None
    zone: str
    accelerator: Accelerator
    slices: int
    runtime: str
    spot: bool
    service_account: str | None
    options: tuple[str, ...]

    # States that `describe` prints: ready to be used, and taken away for good. In any other, it is
    # waited for.
    ready: ClassVar[str]
    gone: ClassVar[frozenset[str]]
    # Of those that are gone: never given, or no more.
    failed: ClassVar[frozenset[str]] = frozenset()

    def problems(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        yield from name_problems(self.name, self.zone)
        for option in self.options:
            if not option.startswith("--"):
                yield f"--create_option={option}: write it as --create_option=--name=value."

    @property
    def nodes(self) -> list[str]:
        """Names of its slices, each a TPU VM of one or more hosts."""
        return [self.name]

    def describe(self) -> Command:
        """Prints its state; fails where there is none of its name."""
        raise NotImplementedError

    def details(self) -> Command:
        """Prints all that is told of its state, such as what was wrong."""
        *words, _ = self.describe().words
        return command("What is wrong?", *words, "--format=yaml(state)")

    @property
    def bounded(self) -> bool:
        """Whether it is waited for so long and no longer."""
        return False

    def create(self) -> Command:
        """Asks for it."""
        raise NotImplementedError

    def delete(self) -> Command:
        """Gives it back."""
        raise NotImplementedError

    def waiting(self, seconds: int) -> str:
        """Shell lines that wait until it is ready, as `vidtx.launch.life` does."""
        gone, failed = ("|".join(sorted(states)) for states in (self.gone, self.failed))
        told = f"{shell(self.details())}; exit {MachineError.exit_code}"
        ending = f'  case "$state" in {failed}) {told} ;; esac\n' if failed else ""
        return (
            f'until state="$({shell(self.describe())})"\n'
            f'  [ "$state" = {self.ready} ]; do\n'
            f'  echo "$state"\n'
            f'{ending}  case "$state" in {gone}) exit {StoppedError.exit_code} ;; esac\n'
            f"  sleep {seconds}\n"
            "done"
        )

    def ssh(self, why: str, node: str, worker: str, script: str, **more) -> Command:
        """Runs a script on one of a slice's hosts, or on ``all`` of them at once."""
        words = ("gcloud", "compute", "tpus", "tpu-vm", "ssh", node, *self._where())
        return command(why, *words, f"--worker={worker}", f"--command={script}", **more)

    def copy(self, why: str, node: str, files: Sequence[str]) -> Command:
        """Copies files to the home folder of each of a slice's hosts."""
        words = ("gcloud", "compute", "tpus", "tpu-vm", "scp", *files, f"{node}:", *self._where())
        return command(why, *words, "--worker=all")

    def _where(self) -> list[str]:
        project = [] if self.project is None else [f"--project={self.project}"]
        return [*project, f"--zone={self.zone}", "--quiet"]

    def _what(self) -> list[str]:
        account = self.service_account
        return [
            f"--accelerator-type={self.accelerator.name}",
            *(["--spot"] if self.spot else []),
            f"--scopes={_SCOPE}",
            *([] if account is None else [f"--service-account={account}"]),
        ]


@dataclasses.dataclass(frozen=True)
class TpuVm(Machine):
    """A single host with its TPU chips."""

    ready = "READY"
    gone = frozenset({"PREEMPTED", "TERMINATED", "STOPPED", "STOPPING", "DELETING"})

    def problems(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        yield from super().problems()
        hosts = self.accelerator.hosts()
        if hosts > 1:
            yield (
                f"--accelerator={self.accelerator.name} has {hosts} hosts, and a TPU VM is one: "
                "vidtx launch queued takes the same flags."
            )

    def describe(self) -> Command:
        """As of `Machine`."""
        words = ("gcloud", "compute", "tpus", "tpu-vm", "describe", self.name, *self._where())
        return command("What state is it in?", *words, "--format=value(state)")

    def create(self) -> Command:
        """As of `Machine`."""
        words = ("gcloud", "compute", "tpus", "tpu-vm", "create", self.name, *self._where())
        return command(
            f"Create the TPU VM, if it is not there: {self.accelerator.described()}.",
            *words,
            f"--version={self.runtime}",
            *self._what(),
            *self.options,
            unless=self.describe(),
            cure="Where there is no capacity, try another zone, "
            f"{'' if self.spot else '--spot, '}or vidtx launch queued.",
        )

    def delete(self) -> Command:
        """As of `Machine`."""
        words = ("gcloud", "compute", "tpus", "tpu-vm", "delete", self.name, *self._where())
        return command("Delete the TPU VM, which costs money until then.", *words)


@dataclasses.dataclass(frozen=True)
class QueuedSlices(Machine):
    """One or more slices that are queued for, and come all together.

    Attributes:
      reserved: whether they are taken from the project's reservation.
      valid_for: how long to queue at most each time, such as ``12h``, or None for ever.
    """

    reserved: bool = False
    valid_for: str | None = None

    ready = "ACTIVE"
    gone = frozenset({"FAILED", "SUSPENDING", "SUSPENDED", "DELETING"})
    failed = frozenset({"FAILED"})

    def problems(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        yield from super().problems()
        if self.spot and self.reserved:
            yield "--spot and --reserved exclude each other: a reservation is paid for already."
        if self.valid_for is not None and not _DURATION.fullmatch(self.valid_for):
            yield f"--valid_for={self.valid_for}: a number and a unit, such as 30m, 12h or 2d."

    @property
    def bounded(self) -> bool:
        """As of `Machine`."""
        return self.valid_for is not None

    @property
    def nodes(self) -> list[str]:
        """Names of its slices."""
        if self.slices == 1:
            return [self.name]
        return [f"{self.name}-{index}" for index in range(self.slices)]

    def describe(self) -> Command:
        """As of `Machine`."""
        words = ("gcloud", "compute", "tpus", "queued-resources", "describe", self.name)
        why = "What state is it in?"
        return command(why, *words, *self._where(), "--format=value(state.state)")

    def create(self) -> Command:
        """As of `Machine`."""
        several = [f"--node-count={self.slices}", f"--node-prefix={self.name}"]
        return command(
            f"Queue for it, if that is not done: {self.accelerator.described(self.slices)}.",
            *("gcloud", "compute", "tpus", "queued-resources", "create", self.name),
            *self._where(),
            *([f"--node-id={self.name}"] if self.slices == 1 else several),
            f"--runtime-version={self.runtime}",
            *self._what(),
            *(["--reserved"] if self.reserved else []),
            *([] if self.valid_for is None else [f"--valid-until-duration={self.valid_for}"]),
            *self.options,
            unless=self.describe(),
        )

    def delete(self) -> Command:
        """As of `Machine`."""
        words = ("gcloud", "compute", "tpus", "queued-resources", "delete", self.name)
        why = "Delete it with its slices, which cost money until then."
        return command(why, *words, *self._where(), "--force")
