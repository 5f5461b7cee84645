"""What there is of a run's data set, and what its loader takes of a host, before anything runs."""

import dataclasses
from typing import Any

from data_pipelines import motions
from data_pipelines.labels import check_labels
from data_pipelines.loader import Reading, held_bytes
from data_pipelines.records import DatasetDescription
from vidtx.config import RunSpec
from vidtx.data_errors import data_errors_as_ours
from vidtx.errors import ConfigError, DataQualityError, VidtxError
from vidtx.run.data import clip_spec, describe_and_open

__all__ = ["Found", "describe_data", "describe_loader", "find_data"]


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is of a data set.

    Attributes:
      status: ``there``, ``absent``, ``made on first use`` (the embedded one) or ``damaged``.
      message: what is known of one that is not there.
      description: of one that is there.
      examples: by split that the run reads, how many; without those that cannot be opened.
      built_by: how one that is read as files is built, to be read faster.
      refusals: why a run would not begin on it. That it is absent is none of them.
    """

    status: str
    message: str | None = None
    description: DatasetDescription | None = None
    examples: dict[str, int] = dataclasses.field(default_factory=dict)
    built_by: str | None = None
    refusals: tuple[VidtxError, ...] = ()

    @property
    def num_classes(self) -> int | None:
        """Number of classes, if it is there."""
        return None if self.description is None else len(self.description.class_names)


def find_data(spec: RunSpec) -> Found:
    """Looks for the data set of a run; reads its description and opens the splits."""
    embedded = spec.data.name == motions.NAME and spec.data.source == "tfds"
    try:
        with data_errors_as_ours():
            description, open_one, built_by = describe_and_open(spec)
    except (ConfigError, DataQualityError) as error:
        if embedded and not motions.is_built(spec.data.data_dir):
            return Found("made on first use", f"training makes it in {spec.data.data_dir}.")
        if isinstance(error, ConfigError):
            return Found("absent", str(error))
        return Found("damaged", str(error), refusals=(error,))
    refusals: list[VidtxError] = []
    examples = {}
    try:
        with data_errors_as_ours():
            check_labels(description, spec.data.multi_label)
    except VidtxError as error:
        refusals.append(error)
    for split in dict.fromkeys((spec.data.train_split, spec.data.eval_split)):
        try:
            with data_errors_as_ours():
                examples[split] = len(open_one(split))
        except VidtxError as error:
            refusals.append(error)
    return Found("there", None, description, examples, built_by, tuple(refusals))


def describe_data(spec: RunSpec, found: Found, num_classes: int | None) -> dict[str, Any]:
    """The data set as plain values, ready for JSON; None for what is not known.

    Args:
      spec: the run.
      found: what there is of it.
      num_classes: that it has, or is known to have.
    """
    data, there = spec.data, found.description
    return {
        "name": data.name,
        "source": data.source,
        "data_dir": data.data_dir,
        "status": found.status,
        "message": found.message,
        "version": there and there.version,
        "fingerprint": there and there.fingerprint,
        "bytes": there and there.num_bytes,
        "splits": there and there.splits,
        "train_split": data.train_split,
        "train_examples": found.examples.get(data.train_split),
        "eval_split": data.eval_split,
        "eval_examples": found.examples.get(data.eval_split),
        "classes": num_classes,
        "multi_label": data.multi_label,
        "classes_tell_left_from_right": None if there is None else not there.mirrorable,
        "flip": data.flip,
        "counts": there and there.counts,
        "dropped": there and there.dropped,
        "built_by": found.built_by,
    }


def describe_loader(spec: RunSpec, parts: int) -> dict[str, Any]:
    """The most memory that clips take in a host's loader, as plain values, ready for JSON.

    Args:
      spec: the run.
      parts: into how many the mesh splits a batch.

    Returns:
      ``train_bytes`` and, beside them while the run is judged, ``eval_bytes``, of a process that
      feeds all devices; one of several feeds its share.
    """
    reading = Reading(spec.data.threads, spec.data.workers)
    clips = clip_spec(spec)
    videos = -(-spec.eval.global_batch // parts) * parts
    return {
        "threads": spec.data.threads,
        "workers": spec.data.workers,
        "train_bytes": held_bytes(clips, spec.train.global_batch, reading),
        "eval_bytes": held_bytes(clips, videos, reading, evaluation=True),
    }
