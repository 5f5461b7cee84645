"""The data set of a run: made if it is the embedded one, described, opened; its errors as ours."""

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

from jax.sharding import Mesh

from data_pipelines import motions
from data_pipelines.errors import DatasetMissingError, UnknownSplitError
from data_pipelines.few_shot import ChosenSource, few_of_each_class
from data_pipelines.folder import FolderDataset, FolderSource
from data_pipelines.labels import check_labels
from data_pipelines.loader import (
    Batches,
    ClipSpec,
    Reading,
    eval_batches,
    held_bytes,
    train_batches,
)
from data_pipelines.records import DatasetDescription, SplitSource, describe, open_split
from vidtx.config import RunSpec
from vidtx.data_errors import data_errors_as_ours
from vidtx.errors import ConfigError, DataQualityError
from vidtx.reporting.files import absolute, as_path, in_bucket
from vidtx.sharding import batch_parts, processes, rows_of_process

Source = SplitSource | FolderSource | ChosenSource


def _full_name(spec: RunSpec) -> str:
    """The data set's name; of the embedded one with its version, as an older one may be there."""
    name = spec.data.name
    return f"{name}:{motions.Motions.VERSION}" if name == motions.NAME else name


def describe_and_open(
    spec: RunSpec,
) -> tuple[DatasetDescription, Callable[[str], Source], str | None]:
    """The data set, what opens a split of it, and how one that is read as files is built.

    Of the train split only the videos that ``data.per_class`` chooses are opened.
    """
    data = spec.data
    if data.source == "folder":
        folder = _own_folder(spec)
        command = f"{folder.build_command}, then data.source=tfds and data.name={folder.built_name}"
        description, open_one = folder.describe(), folder.open_split
    else:
        name, command = _full_name(spec), None
        description = describe(name, data.data_dir)
        open_one = functools.partial(open_split, name, data_dir=data.data_dir)
    return description, functools.partial(_open, spec, description, open_one), command


def _own_folder(spec: RunSpec) -> FolderDataset:
    """The folder of videos that is read as it is; names a run's options if it is absent."""
    data = spec.data
    path = as_path(data.data_dir) / data.name
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise DatasetMissingError(
            f"data.source=folder reads the folder {absolute(path)}, which {what}. Name the one "
            "that holds CLASS/clip.mp4, or train/CLASS/clip.mp4 and val/CLASS/clip.mp4, with "
            "--config.data.name=NAME, and what it lies in with --config.data.data_dir=FOLDER."
        )
    return FolderDataset(data.name, data.data_dir)


def _open(
    spec: RunSpec,
    description: DatasetDescription,
    open_one: Callable[[str], Source],
    split: str,
) -> Source:
    """A split; of the train split a few videos of each class, if so many are set."""
    try:
        source = open_one(split)
    except UnknownSplitError as error:
        raise UnknownSplitError(f"{error}{_other_split(spec, description, split)}") from error
    if spec.data.per_class is None or split != spec.data.train_split:
        return source
    return few_of_each_class(source, spec.data.per_class, spec.seed)


def _other_split(spec: RunSpec, description: DatasetDescription, split: str) -> str:
    """The end of a message: the flag that names a split that is there, where there is one."""
    roles = {"eval_split": spec.data.eval_split, "train_split": spec.data.train_split}
    role = next((role for role, named in roles.items() if named == split), None)
    if role is None or _first_name(split) in description.splits:  # a slice of one, and impossible
        return ""
    taken = {_first_name(named) for named in roles.values()}
    others = [name for name in description.splits if name not in taken]
    return f" Here it may be --config.data.{role}={'|'.join(others)}." if others else ""


def _first_name(split: str) -> str:
    """Name of a split, or of the first that slices such as ``train[:10%]+test`` are of."""
    return re.split(r"[\[+]", split)[0].strip()


def clip_spec(spec: RunSpec) -> ClipSpec:
    """How clips are cut.

    Raises:
      ValueError: some value is impossible; lists all that are.
    """
    data = spec.data
    return ClipSpec(
        frames=data.frames,
        stride=data.stride,
        target_fps=data.target_fps,
        crop=data.image_size,
        short_side=data.short_side,
        eval_short_side=data.eval_short_side,
        short=data.short_videos,
        temporal_views=spec.eval.temporal_views,
        spatial_crops=spec.eval.spatial_crops,
        sampling=data.sampling,
        temporal_position=spec.eval.temporal_position,
        short_side_draw=data.short_side_draw,
        rand_augment=data.rand_augment,
        rand_augment_magnitude=data.rand_augment_magnitude,
        color_jitter=data.color_jitter,
        erase=data.erase,
    )


@dataclasses.dataclass(frozen=True)
class RunData:
    """What a run reads.

    Attributes:
      spec: the run.
      description: the data set.
      mesh: the devices, which decide the rows that this process reads.
      open_split: opens a split of it.
      built_by: how a data set is made of files that are read as they are, or None.
    """

    spec: RunSpec
    description: DatasetDescription
    mesh: Mesh
    open_split: Callable[[str], Source]
    built_by: str | None

    @classmethod
    def open(
        cls,
        spec: RunSpec,
        mesh: Mesh,
        *,
        may_build: bool,
        between: Callable[[], None] = lambda: None,
    ) -> "RunData":
        """Finds the data set; with ``may_build``, makes the embedded one first if it is absent.

        While it is made, ``between`` is called now and then; it may raise to stop. In a job process
        0 makes it, and all must find the same.
        """
        data_dir = spec.data.data_dir
        embedded = spec.data.name == motions.NAME and spec.data.source == "tfds"

        def find() -> tuple[DatasetDescription, Callable[[str], Source], str | None]:
            with data_errors_as_ours():
                found = describe_and_open(spec)
                check_labels(found[0], spec.data.multi_label)
                return found

        def make() -> None:
            if not embedded:
                return
            try:
                find()
            except (ConfigError, DataQualityError):
                # Whole, or not there at all: what an interrupted build left is made anew.
                if motions.is_built(data_dir):
                    raise
                if in_bucket(as_path(data_dir)):
                    raise ConfigError(
                        f"The embedded data set is not in {data_dir}, and is made on this machine "
                        "only. Make it, and copy it there: python -m data_pipelines.motions "
                        f"--out=data && gcloud storage cp -r data/motions {data_dir}/"
                    ) from None
                motions.build_in_process(data_dir, between)

        if may_build:
            processes.on_lead(make)
        description, open_one, built_by = processes.agree(find)
        processes.check_same(
            {f"fingerprint of {_full_name(spec)}": description.fingerprint},
            "Give each of them a copy of the same data set, or one that they share.",
        )
        return cls(spec, description, mesh, open_one, built_by)

    def source(self, split: str) -> Source:
        """A split's records."""

        def find() -> Source:
            with data_errors_as_ours():
                return self.open_split(split)

        return processes.agree(find)

    @property
    def reading(self) -> Reading:
        """How many threads and processes of this process read."""
        return Reading(self.spec.data.threads, self.spec.data.workers)

    def held_bytes(self) -> tuple[int, int]:
        """The most memory that clips take in the loader of this process.

        Returns:
          While it trains, and beside that while it evaluates.
        """
        blocks, count = rows_of_process(self.mesh)
        sizes = self.spec.train.global_batch, self._eval_size
        rows = [size // count * len(blocks) for size in sizes]
        clips = clip_spec(self.spec)
        judging = held_bytes(clips, rows[1], self.reading, evaluation=True)
        return held_bytes(clips, rows[0], self.reading), judging

    def train_batches(self, source: Source, start: int, threads: int | None = None) -> Batches:
        """Batch ``start``, ``start + 1``, …: this process's rows.

        Args:
          source: of the train split.
          start: the first.
          threads: to read a few batches only, by so many and no other processes.
        """
        spec = self.spec
        reading = self.reading if threads is None else Reading(threads)
        with data_errors_as_ours():
            return train_batches(
                source,
                clip_spec(spec),
                global_batch=spec.train.global_batch,
                seed=spec.seed,
                multi_label=spec.data.multi_label,
                start_batch=start,
                **self._rows,
                threads=reading.threads,
                workers=reading.workers,
                max_bad=spec.data.max_bad,
            )

    @property
    def _rows(self) -> dict[str, Any]:
        """Which rows of every batch this process reads, as the loader has it."""
        blocks, count = rows_of_process(self.mesh)
        return {"shard_index": blocks if len(blocks) > 1 else blocks[0], "shard_count": count}

    @property
    def _eval_size(self) -> int:
        """Videos of an evaluation batch: as many as are asked for, or more for the mesh."""
        parts = batch_parts(self.mesh)
        return -(-self.spec.eval.global_batch // parts) * parts

    def eval_batches(self, source: Source) -> Batches:
        """All videos, once: this process's rows, of batches that the mesh divides."""
        with data_errors_as_ours():
            return eval_batches(
                source,
                clip_spec(self.spec),
                global_batch=self._eval_size,
                multi_label=self.spec.data.multi_label,
                **self._rows,
                threads=self.reading.threads,
                workers=self.reading.workers,
            )

    def to_dict(self) -> dict[str, Any]:
        """The description as plain values, ready for JSON."""
        return {
            **dataclasses.asdict(self.description),
            "source": self.spec.data.source,
            "data_dir": absolute(self.spec.data.data_dir),
            "class_names": list(self.description.class_names),
        }
