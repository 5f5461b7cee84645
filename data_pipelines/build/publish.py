"""From finished shards to a data set that TFDS opens; the last step of a build."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Iterator

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.build import files, manifest
from data_pipelines.build.checks import check_bad
from data_pipelines.build.jobs import Dropped, finished, shard_jobs, shard_name
from data_pipelines.build.manifest import Manifest, SplitManifest
from data_pipelines.build.plan import Plan
from data_pipelines.digests import BUILT_SETTINGS, CONTENT_DIGESTS, fingerprint, split_digest
from data_pipelines.errors import BuildFailedError, MissingFileError
from data_pipelines.schema import features, types_of
from data_pipelines.shards import BUILDING

__all__ = ["DROPPED", "is_published", "publish"]

# The file in the folder of an unfinished build that lists what was dropped.
DROPPED = "dropped.json"

# What makes a folder a data set of TFDS; must appear last.
_LAST = "dataset_info.json"


@dataclasses.dataclass
class _Split:
    """What the finished shards of a split hold together."""

    lengths: list[int] = dataclasses.field(default_factory=list)
    num_bytes: int = 0
    dropped: list[Dropped] = dataclasses.field(default_factory=list)
    shards: dict[str, str] = dataclasses.field(default_factory=dict)
    content_sha256: str = ""


def publish(plan: Plan, folder: epath.Path, max_bad: float) -> Manifest:
    """Makes a data set of finished shards; until this is done, nothing reads them.

    Args:
        plan: Of the build.
        folder: The data set's, ``OUT/NAME/VERSION``.
        max_bad: Highest share of a split's listed videos that may be missing or unusable.

    Returns:
        What was built.

    Raises:
        TooManyBadError: More are. All shards stay, for another try with a higher ``max_bad``.
        BuildFailedError: A shard is not finished.
    """
    splits = _collect(plan, folder)
    counted = {name: _count(plan, name, split) for name, split in splits.items()}
    check_bad(counted, folder / BUILDING / DROPPED, max_bad)
    declared = features(
        plan.class_names,
        storage="jpeg" if plan.settings.storage == "jpeg" else "video",
        built=True,
        captions=plan.captioned,
    )
    contents = {name: split.content_sha256 for name, split in counted.items()}
    made = Manifest(
        name=plan.name,
        version=plan.version,
        folder=os.fspath(folder),
        fingerprint=fingerprint(
            plan.name,
            plan.version,
            plan.class_names,
            types_of(declared),
            [(name, sum(splits[name].lengths)) for name in sorted(splits)],
            contents,
        ),
        plan=plan.digest,
        splits=counted,
        class_names=plan.class_names,
        label_map_sha256=manifest.label_map_sha256(plan.class_names),
        mirrorable=plan.mirrorable,
        source=plan.source,
        annotations=plan.annotations,
        unlisted=plan.unlisted,
        settings=plan.settings,
        encoder=manifest.encoder_of(plan.settings),
        versions=manifest.pixel_versions(),
        built_now=True,
    )
    with tempfile.TemporaryDirectory(
        prefix=files.LEFTOVER, dir=files.local_folder(folder / BUILDING)
    ) as place:
        _write_metadata(plan, made, splits, declared, folder, pathlib.Path(place))
    return made


def _collect(plan: Plan, folder: epath.Path) -> dict[str, _Split]:
    """Reads what each shard holds."""
    splits = {name: _Split() for name in plan.shards}

    def digests(name: str) -> Iterator[str]:
        """Yields those of a split's records, of which there may be too many for a list."""
        split = splits[name]
        for job in shard_jobs(plan, folder, name):
            result = finished(plan, job)
            if result is None:
                raise BuildFailedError(
                    f"shard {job.number} of split {name!r} is not finished; run the same command "
                    "again to build it."
                )
            split.lengths.append(len(result.digests))
            split.num_bytes += result.num_bytes
            split.dropped += result.dropped
            split.shards[shard_name(plan, name, job.number)] = result.sha256
            yield from result.digests

    for name, split in splits.items():
        split.content_sha256 = split_digest(digests(name), dataclasses.asdict(plan.settings))
    return splits


def _count(plan: Plan, name: str, split: _Split) -> SplitManifest:
    """Says what became of a split's listed videos."""
    kinds = collections.Counter(dropped.kind for dropped in split.dropped)
    listed, missing = plan.videos[name], kinds[MissingFileError.kind]
    return SplitManifest(
        listed=listed,
        found=listed - missing,
        missing=missing,
        stored=listed - len(split.dropped),
        records=sum(split.lengths),
        dropped={kind: kinds[kind] for kind in sorted(kinds) if kinds[kind]},
        files=tuple(split.dropped),
        shards=split.shards,
        content_sha256=split.content_sha256,
    )


def _write_metadata(
    plan: Plan,
    made: Manifest,
    splits: dict[str, _Split],
    declared: tfds.features.FeaturesDict,
    folder: epath.Path,
    place: pathlib.Path,
) -> None:
    """Writes TFDS's files and the manifest aside, and moves them in, what makes it whole last."""
    infos = []
    for name, split in splits.items():
        template = tfds.core.ShardedFileTemplate(
            data_dir=os.fspath(place),
            dataset_name=plan.name,
            split=name,
            filetype_suffix="array_record",
        )
        # write_metadata wants to see a shard of each split.
        (place / shard_name(plan, name, 0)).touch()
        infos.append(
            tfds.core.SplitInfo(
                name=name,
                shard_lengths=split.lengths,
                num_bytes=split.num_bytes,
                filename_template=template,
            )
        )
    notes = {
        CONTENT_DIGESTS: {name: split.content_sha256 for name, split in made.splits.items()},
        "mirrorable": plan.mirrorable,
        BUILT_SETTINGS: dataclasses.asdict(plan.settings),
        "counts": {name: _counts(split) for name, split in made.splits.items()},
        "dropped": {name: split.dropped for name, split in made.splits.items()},
    }
    tfds.folder_dataset.write_metadata(
        data_dir=os.fspath(place),
        features=declared,
        split_infos=infos,
        version=plan.version,
        check_data=False,
        description=_description(plan),
        metadata=tfds.core.MetadataDict(notes),
    )
    (place / manifest.MANIFEST).write_text(made.to_json())
    written = sorted(path for path in place.iterdir() if "array_record" not in path.name)
    for path in sorted(written, key=lambda path: path.name == _LAST):
        files.move(path, folder / path.name)


def _counts(split: SplitManifest) -> dict[str, int]:
    return {key: getattr(split, key) for key in ("listed", "found", "stored", "records")}


def _description(plan: Plan) -> str:
    """Says in a few words what the data set is."""
    stored = {
        "canonical": "H.264 MP4 of constant rate in closed groups of 12 pictures, upright, silent",
        "jpeg": "one JPEG a frame, upright",
        "as_is": "the source files' own bytes",
    }[plan.settings.storage]
    source = f" Annotations: {plan.source}." if plan.source else ""
    return f"{plan.name}, built by vidtx data build. Videos are stored as {stored}.{source}"


def is_published(folder: epath.Path) -> bool:
    """Whether a data set of TFDS is in a folder."""
    return (folder / _LAST).exists()
