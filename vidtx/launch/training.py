"""What is run on the machines: a training command, its config, and where its files lie."""

import dataclasses
import pathlib
import shlex
from collections.abc import Iterator

from vidtx.launch.accelerators import Accelerator

__all__ = ["Training"]

_BUCKET = "gs://"
# What these commands give to vidtx.main by themselves.
_OWN = ("config", "workdir", "distributed", "coordinator", "num_processes", "process_id", "help")


@dataclasses.dataclass(frozen=True)
class Training:
    """A run, as ``python -m vidtx.main`` is told of it.

    Attributes:
      config: path or name of its config, as it was given.
      config_path: the file, or None where the config comes with vidtx and so is there by name.
      workdir: the run directory, as the machines see it.
      data_dir: the folder of data sets, as the machines see it, or None for the config's own.
      changes: of the config, each ``--config.key=value``.
      flags: more flags of vidtx.main.
    """

    config: str
    config_path: pathlib.Path | None
    workdir: str
    data_dir: str | None
    changes: tuple[str, ...]
    flags: tuple[str, ...]

    def problems(self, *, bucket: bool) -> Iterator[str]:
        """What is wrong, a sentence each.

        Args:
          bucket: whether the machines have no storage in common but buckets.
        """
        places = {"--workdir": self.workdir, "--data_dir": self.data_dir}
        for name, place in places.items():
            if place is None:
                continue
            inside = place.removeprefix(_BUCKET)
            if bucket and not place.startswith(_BUCKET):
                yield (
                    f"{name}={place}: the machines share no storage but buckets, and lose their "
                    f"disks when they are deleted. Write it as gs://BUCKET/{inside.lstrip('/')}."
                )
            elif place.startswith(_BUCKET) and not inside.partition("/")[2].strip("/"):
                yield f"{name}={place}: name a folder in the bucket, such as gs://BUCKET/runs/one."
            elif not place:
                yield f"{name} is empty; name a folder."
        for flag in self.flags:
            name = flag.lstrip("-").partition("=")[0].removeprefix("no")
            if not flag.startswith("--"):
                yield f"{flag!r}: flags of vidtx.main, which follow --, are written --name=value."
            elif name in _OWN:
                yield f"{flag}: vidtx launch gives --{name} itself; leave it out after --."
        for text in (*self.changes, *self.flags, *filter(None, places.values())):
            if "\n" in text:
                yield f"{text!r}: a line break cannot be passed on."

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets that it reads and writes, each ``gs://NAME``."""
        places = [place for place in (self.workdir, self.data_dir) if place]
        names = [place.removeprefix(_BUCKET).partition("/")[0] for place in places if
                 place.startswith(_BUCKET)]  # fmt: skip
        return tuple(f"{_BUCKET}{name}" for name in dict.fromkeys(names))

    def config_with(self, name: str) -> str:
        """The value of ``--config`` where its file is called ``name``."""
        _, colon, argument = self.config.partition(":")
        return f"{name}{colon}{argument}"

    def words(self, config: str, *, distributed: bool) -> list[str]:
        """Arguments for ``python``.

        Args:
          config: path or name of the config, where it runs.
          distributed: whether several processes run it, which find each other by themselves.
        """
        data = [] if self.data_dir is None else [f"--config.data.data_dir={self.data_dir}"]
        return [
            "-m",
            "vidtx.main",
            *(["--distributed"] if distributed else []),
            f"--config={config}",
            f"--workdir={self.workdir}",
            *data,
            *self.changes,
            *self.flags,
        ]

    def compile_line(self, accelerator: Accelerator, slices: int) -> str:
        """Lines of a script that name the command which checks ahead of time that the run fits."""
        words = ["vidtx", "compile", f"--config={self.config}"]
        place = [f"--topology={accelerator.compile_topology}"]
        several = [f"--slices={slices}"] if slices > 1 else []
        line = shlex.join([*words, *place, *several, *self.changes])
        return f"# Before anything is paid for: does the run fit the chips?\n# {line}"
