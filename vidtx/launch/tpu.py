"""A run on TPU machines of its own: all commands, in the order in which they are run."""

import dataclasses
import pathlib
import re
from collections.abc import Iterator

from vidtx.launch import remote
from vidtx.launch.commands import HEADER, Command, command, commented, lines
from vidtx.launch.machines import Machine, region_of
from vidtx.launch.training import Training

__all__ = ["TpuRun", "bucket_check"]

_PACKAGE = re.compile(r"vidtx([=<>!~][\w.=<>!~,+*]*)?")
_WHEEL = re.compile(r"vidtx-[\w.+-]+\.whl")


def bucket_check(bucket: str, zone: str) -> Command:
    """Prints where a bucket lies, and fails where there is none."""
    region = region_of(zone)
    return command(
        f"Is the bucket there, and in {region}? From elsewhere, reading is slow and costs money.",
        *("gcloud", "storage", "buckets", "describe", bucket, "--format=value(location)"),
        cure=f"To make it: gcloud storage buckets create {bucket} --location={region}.",
    )


@dataclasses.dataclass(frozen=True)
class TpuRun:
    """A run and the machine that it is to have.

    Attributes:
      machine: that machine.
      training: the run.
      package: what is installed: the name of a package, or the path of a wheel or of a folder with
        the sources of vidtx, of which a wheel is made.
    """

    machine: Machine
    training: Training
    package: str

    def problems(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        yield from self.machine.problems()
        yield from self.training.problems(bucket=True)
        if self._sources is not None and self._wheel is None:
            yield (
                f"--package={self.package}: the folder holds no vidtx/_version.py. Give the folder "
                "of the sources of vidtx, or a wheel of them."
            )
            return
        if self.package.endswith(".whl") and not pathlib.Path(self.package).is_file():
            yield f"--package={self.package}: there is no such file."
        file = self._wheel.name if self._wheel else None
        if not (_WHEEL.fullmatch(file) if file else _PACKAGE.fullmatch(self.package)):
            yield (
                f"--package={self.package}: give a version of vidtx, such as vidtx==0.1.0, a wheel "
                "(….whl), or a folder with its sources."
            )

    def before(self) -> list[Command]:
        """What is done here, before anything costs money."""
        checks = [bucket_check(bucket, self.machine.zone) for bucket in self.training.buckets]
        if self._sources is None:
            return checks
        words = ("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir=dist")
        return [*checks, command("Build what is to be installed.", *words, str(self._sources))]

    def set_up(self) -> list[Command]:
        """What makes the machine, once it is ready, able to run it."""
        config = self.training.config_path
        files = [str(path) for path in (self._wheel, config) if path is not None]
        nodes = self.machine.nodes
        copies = [
            self.machine.copy(f"Copy to every host of {node}.", node, files)
            for node in nodes
            if files
        ]
        wheel = self._wheel
        required = remote.requirement(f"./{wheel.name}" if wheel else self.package)
        script = remote.install(required)
        why = "Install vidtx on every host of {}."
        installs = [self.machine.ssh(why.format(node), node, "all", script) for node in nodes]
        return [*copies, *installs]

    def start(self) -> list[Command]:
        """What starts the run on every host; it outlives the connection."""
        hosts = self.machine.accelerator.hosts() * self.machine.slices
        path = self.training.config_path
        config = self.training.config_with(path.name) if path else self.training.config
        words = self.training.words(config, distributed=hosts > 1)
        script = remote.start(words, f"{self.training.workdir.rstrip('/')}.logs")
        why = "Start the run on every host of {}, unless it is under way."
        return [
            self.machine.ssh(why.format(node), node, "all", script) for node in self.machine.nodes
        ]

    def follow(self) -> Command:
        """Shows what the first process prints until the run ends."""
        why = "Follow the log. Ctrl-C ends that and leaves the run alone."
        return self.machine.ssh(why, self.machine.nodes[0], "0", remote.FOLLOW)

    def status(self) -> Command:
        """Prints whether the run goes on, and its exit code if not (`remote.STATUS`)."""
        why = "With which exit code has the run ended?"
        return self.machine.ssh(why, self.machine.nodes[0], "0", remote.STATUS)

    def stop(self) -> Command:
        """Stops the run, which saves its state first and ends with exit code 4 on all hosts."""
        why = "Stop the run, with its state saved; whoever follows it begins it again."
        return self.machine.ssh(why, self.machine.nodes[0], "0", remote.STOP)

    def end(self) -> list[Command]:
        """What ends whatever is left of the run on any host, and waits for that."""
        why = "See that the run has ended on every host of {}, and its log is copied."
        script = f"{remote.STOP} || true"
        return [
            self.machine.ssh(why.format(node), node, "all", script) for node in self.machine.nodes
        ]

    def script(self, *, restarts: int, seconds: int, detach: bool, delete: bool) -> str:
        """All of it as a shell script, which `vidtx.launch.life` carries out."""
        deleting = self.machine.delete()
        parts = [lines(one) for one in (*self.before(), self.machine.create())]
        parts.append(f"# Wait until it is {self.machine.ready}.\n{self.machine.waiting(seconds)}")
        parts += [lines(one) for one in (*self.set_up(), *self.start())]
        if not detach:
            parts += [lines(self.follow()), lines(self.status())]
            parts.append(
                f"# Where the machine is taken away, or the run ends with exit code 4: up to "
                f"{restarts} times,\n# delete the machine, and all of this again. The run goes on "
                f"from its newest checkpoint."
            )
        if delete and not detach:
            parts += [lines(one) for one in self.end()] + [lines(deleting)]
        later = [self.stop(), *([] if delete and not detach else [deleting])]
        parts += [commented(one) for one in later]
        parts.append(self.training.compile_line(self.machine.accelerator, self.machine.slices))
        return "\n\n".join([HEADER, *parts]) + "\n"

    @property
    def _sources(self) -> pathlib.Path | None:
        # In a checkout, "vidtx" is a folder too, and means the package.
        named = self.package in (".", "..") or "/" in self.package
        folder = pathlib.Path(self.package)
        return folder if named and folder.is_dir() else None

    @property
    def _wheel(self) -> pathlib.Path | None:
        if self._sources is None:
            return pathlib.Path(self.package) if self.package.endswith(".whl") else None
        return remote.wheel_of(self._sources)
