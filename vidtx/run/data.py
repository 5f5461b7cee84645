"""The data set of a run: made if it is the embedded one, described, opened; its errors as ours."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

from jax.sharding import Mesh

from data_pipelines import errors as data_errors
from data_pipelines import motions
from data_pipelines.labels import check_labels
from data_pipelines.loader import Batches, ClipSpec, eval_batches, train_batches
from data_pipelines.records import DatasetDescription, SplitSource, describe, open_split
from vidtx.config import RunSpec
from vidtx.errors import ConfigError, DataQualityError
from vidtx.sharding import processes, rows_of_process

_WRONG_USE = (data_errors.DatasetMissingError, data_errors.UnknownSplitError)


@contextlib.contextmanager
def data_errors_as_ours() -> Iterator[None]:
    """Turns what is wrong with data into errors with an exit code."""
    try:
        yield
    except _WRONG_USE as error:
        raise ConfigError(str(error)) from error
    except data_errors.DataError as error:
        raise DataQualityError(str(error)) from error


def _full_name(spec: RunSpec) -> str:
    """The data set's name; of the embedded one with its version, as an older one may be there."""
    name = spec.data.name
    return f"{name}:{motions.Motions.VERSION}" if name == motions.NAME else name


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
    )


@dataclasses.dataclass(frozen=True)
class RunData:
    """What a run reads.

    Attributes:
      spec: the run.
      description: the data set.
      mesh: the devices, which decide the rows that this process reads.
    """

    spec: RunSpec
    description: DatasetDescription
    mesh: Mesh

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
        name, data_dir = _full_name(spec), spec.data.data_dir

        def find() -> DatasetDescription:
            with data_errors_as_ours():
                description = describe(name, data_dir)
                check_labels(description, spec.data.multi_label)
                return description

        def make() -> None:
            try:
                find()
            except (ConfigError, DataQualityError):
                # Whole, or not there at all: what an interrupted build left is made anew.
                if spec.data.name != motions.NAME or motions.is_built(data_dir):
                    raise
                motions.build_in_process(data_dir, between)

        if may_build:
            processes.on_lead(make)
        description = processes.agree(find)
        processes.check_same(
            {f"fingerprint of {name}": description.fingerprint},
            "Give each of them a copy of the same data set, or one that they share.",
        )
        return cls(spec, description, mesh)

    def source(self, split: str) -> SplitSource:
        """A split's records."""

        def find() -> SplitSource:
            with data_errors_as_ours():
                return open_split(_full_name(self.spec), split, self.spec.data.data_dir)

        return processes.agree(find)

    def train_batches(self, source: SplitSource, start: int, threads: int | None = None) -> Batches:
        """Batch ``start``, ``start + 1``, …: this process's rows."""
        spec, size = self.spec, self.spec.train.global_batch
        index, count = rows_of_process(self.mesh, size)
        with data_errors_as_ours():
            return train_batches(
                source,
                clip_spec(spec),
                global_batch=size,
                seed=spec.seed,
                multi_label=spec.data.multi_label,
                start_batch=start,
                shard_index=index,
                shard_count=count,
                threads=threads or spec.data.threads,
                max_bad=spec.data.max_bad,
            )

    def eval_batches(self, source: SplitSource) -> Batches:
        """All videos, once: this process's rows, of batches that the mesh divides."""
        devices = self.mesh.size
        size = -(-self.spec.eval.global_batch // devices) * devices
        index, count = rows_of_process(self.mesh, size)
        with data_errors_as_ours():
            return eval_batches(
                source,
                clip_spec(self.spec),
                global_batch=size,
                multi_label=self.spec.data.multi_label,
                shard_index=index,
                shard_count=count,
                threads=self.spec.data.threads,
            )

    def to_dict(self) -> dict[str, Any]:
        """The description as plain values, ready for JSON."""
        return {
            **dataclasses.asdict(self.description),
            "data_dir": os.path.abspath(self.spec.data.data_dir),
            "class_names": list(self.description.class_names),
        }
