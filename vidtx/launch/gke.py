"""A run on GKE, by xpk: the image, the cluster, the workload."""

import dataclasses
import pathlib
import shlex
from collections.abc import Iterator

from vidtx.errors import StoppedError
from vidtx.launch.accelerators import Accelerator
from vidtx.launch.commands import HEADER, Command, command, commented, lines
from vidtx.launch.machines import name_problems
from vidtx.launch.tpu import bucket_check
from vidtx.launch.training import Training

__all__ = ["GkeRun"]

PRIORITIES = ("very-low", "low", "medium", "high", "very-high")
_REGISTRY = "pkg.dev"  # Google Cloud's; others have log-ins of their own


@dataclasses.dataclass(frozen=True)
class GkeRun:
    """A run as a workload of a GKE cluster.

    Attributes:
      name: of the workload.
      cluster: its cluster.
      project: of Google Cloud, or None for the one that gcloud is set to.
      zone: of the cluster.
      accelerator: the type of each slice.
      slices: how many of them.
      image: with vidtx in it.
      sources: a folder with the sources of vidtx, which the image is built from, or None.
      create_cluster: whether the cluster is created or brought up to date first.
      capacity: options that say what kind of machines a new cluster gets.
      priority: of the workload among others, one of `PRIORITIES`.
      training: the run.
      options: more options of the command that creates the workload.
    """

    name: str
    cluster: str
    project: str | None
    zone: str
    accelerator: Accelerator
    slices: int
    image: str
    sources: pathlib.Path | None
    create_cluster: bool
    capacity: tuple[str, ...]
    priority: str
    training: Training
    options: tuple[str, ...]

    def problems(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        yield from name_problems(self.name, self.zone)
        for problem in name_problems(self.cluster, self.zone):
            if problem.startswith("--name"):
                yield problem.replace("--name", "--cluster", 1)
        if self.accelerator.family.prefix == "v5litepod" and self.accelerator.chips < 8:
            yield f"--accelerator={self.accelerator.name}: xpk knows v5litepod from 8 chips on."
        if not self.image or any(letter.isspace() for letter in self.image):
            yield (
                f"--image={self.image}: name an image, such as "
                "us-west4-docker.pkg.dev/PROJECT/REPOSITORY/vidtx:1."
            )
        if self.priority not in PRIORITIES:
            yield f"--priority={self.priority}: one of {', '.join(PRIORITIES)}."
        if len(self.capacity) > 1:
            yield f"{' and '.join(self.capacity)} exclude each other."
        if self.capacity and not self.create_cluster:
            yield f"{self.capacity[0]} is of the machines of a new cluster: add --create_cluster."
        if self.sources is not None and not (self.sources / "Dockerfile").is_file():
            yield f"--sources={self.sources}: the folder holds no Dockerfile."
        if self.training.config_path is not None and self._config_in_image is None:
            yield (
                f"--config={self.training.config}: the image holds the configs of experiments/ "
                "alone. Put the file there, and give --sources=., which builds the image anew."
            )
        for option in self.options:
            if not option.startswith("--"):
                yield f"--create_option={option}: write it as --create_option=--name=value."
        yield from self.training.problems(bucket=True)

    def commands(self, *, restarts: int, detach: bool) -> list[Command]:
        """All of it, in order."""
        checks = [bucket_check(bucket, self.zone) for bucket in self.training.buckets]
        clusters = [self._create_cluster()] if self.create_cluster else []
        waiting = [] if detach else [self._wait()]
        return [*checks, *self._build(), *clusters, self._create(restarts), *waiting]

    def script(self, *, restarts: int, detach: bool) -> str:
        """The same as a shell script, with how to look at it and to clean up."""
        parts = [lines(one) for one in self.commands(restarts=restarts, detach=detach)]
        later = (self._log(), self._delete(), self._delete_cluster())
        parts += [commented(one) for one in later]
        parts.append(self.training.compile_line(self.accelerator, self.slices))
        return "\n\n".join([HEADER, *parts]) + "\n"

    @property
    def _config_in_image(self) -> str | None:
        """The bare name of a config of the sources that the image is built from."""
        path = self.training.config_path
        if self.sources is None or path is None:
            return None
        inside = path.resolve().parent == (self.sources / "experiments").resolve()
        return self.training.config_with(path.stem) if inside else None

    def _build(self) -> list[Command]:
        if self.sources is None:
            return []
        host = self.image.partition("/")[0]
        build = command(
            "Build the image. xpk runs containers privileged, and TPUs belong to root there.",
            *("docker", "build", "--platform=linux/amd64", "--build-arg=EXTRA=tpu"),
            *("--build-arg=RUN_AS=root", f"--tag={self.image}", str(self.sources)),
        )
        log_in = command(
            "Let docker push to that registry.",
            *("gcloud", "auth", "configure-docker", host, "--quiet"),
        )
        push = command("Push it.", "docker", "push", self.image)
        return [build, *([log_in] if host.endswith(_REGISTRY) else []), push]

    def _create_cluster(self) -> Command:
        return command(
            f"Create the cluster, or bring it up to date: "
            f"{self.accelerator.described(self.slices, gke=True)}.",
            *("xpk", "cluster", "create", f"--cluster={self.cluster}", *self._where()),
            *self._what(),
            *(self.capacity or ("--on-demand",)),
        )

    def _create(self, restarts: int) -> Command:
        config = self._config_in_image or self.training.config
        several = self.accelerator.hosts(gke=True) * self.slices > 1
        # exec, as xpk's shell passes SIGTERM to its child alone.
        run = shlex.join(["exec", "python", *self.training.words(config, distributed=several)])
        return command(
            f"Start it. It is begun again up to {restarts} times where a machine is taken away, or "
            f"it ends with exit code {StoppedError.exit_code}.",
            *("xpk", "workload", "create", f"--workload={self.name}", f"--cluster={self.cluster}"),
            *self._where(),
            *self._what(),
            f"--docker-image={self.image}",
            f"--priority={self.priority}",
            f"--max-restarts={restarts}",
            f"--restart-on-exit-codes={StoppedError.exit_code}",
            "--termination-grace-period-seconds=300",
            *self.options,
            f"--command={run}",
            cure="If a workload of that name is there, delete it first, or give another --name.",
        )

    def _wait(self) -> Command:
        return command(
            "Wait until it ends; exit code 125: it has failed. Ctrl-C leaves it alone.",
            *("xpk", "workload", "list", f"--cluster={self.cluster}", *self._where()),
            f"--wait-for-job-completion={self.name}",
            cure=(
                "The pods' log has its reason and its exit code: kubectl logs "
                f"--selector=jobset.sigs.k8s.io/jobset-name={self.name}. Delete the workload "
                "before it is created again."
            ),
        )

    def _log(self) -> Command:
        return command(
            "Its log, followed:",
            *("kubectl", "logs", "--follow", "--prefix", "--max-log-requests=100"),
            f"--selector=jobset.sigs.k8s.io/jobset-name={self.name}",
        )

    def _delete(self) -> Command:
        words = ("xpk", "workload", "delete", f"--workload={self.name}", "--force")
        why = "To end it, or to delete it once it has ended:"
        return command(why, *words, f"--cluster={self.cluster}", *self._where())

    def _delete_cluster(self) -> Command:
        words = ("xpk", "cluster", "delete", f"--cluster={self.cluster}", *self._where())
        return command("The cluster costs money, used or not, until it is deleted:", *words)

    def _what(self) -> list[str]:
        return [f"--tpu-type={self.accelerator.name}", f"--num-slices={self.slices}"]

    def _where(self) -> list[str]:
        project = [] if self.project is None else [f"--project={self.project}"]
        return [*project, f"--zone={self.zone}"]
