"""An audit's work on what a build has noted: manifest and metadata against what is really there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.audit_records import Problem
from data_pipelines.build.manifest import MANIFEST, Manifest, label_map_sha256, read_manifest
from data_pipelines.digests import CONTENT_DIGESTS, noted, split_digest
from data_pipelines.errors import DataError
from data_pipelines.labels import class_names_of
from data_pipelines.records import describe

__all__ = ["Notes", "fingerprint_of", "read_notes"]

_METADATA = "metadata.json"

_NO_MANIFEST = (
    f"There is no {MANIFEST}, so shards, class list and counts cannot be compared with what the "
    "build made."
)


@dataclasses.dataclass(frozen=True)
class Notes:
    """What a build has noted.

    Attributes:
        manifest: Its manifest, None where there is none that can be read.
        metadata: What ``metadata.json`` has, by which a run goes; None where it cannot be read.
        unchecked: What cannot be looked at for want of notes, a sentence each.
    """

    manifest: Manifest | None
    metadata: Mapping[str, object] | None
    unchecked: Sequence[str]

    @property
    def checksums(self) -> dict[str, str]:
        """Name of each shard's file to its SHA-256."""
        splits = self.manifest.splits.values() if self.manifest else ()
        return {name: sha256 for split in splits for name, sha256 in split.shards.items()}

    def problems(
        self, builder: tfds.core.DatasetBuilder, digests: Mapping[str, Sequence[str | None]]
    ) -> Iterator[Problem]:
        """Yields whatever differs from what was found.

        Args:
            builder: Of the data set.
            digests: Split name to the digest of each of its records, in order: "" for one of
                another build, None for one that cannot be read.
        """
        manifest = self.manifest
        names = next(iter(class_names_of(builder.info.features).values()))
        if manifest is not None:
            yield from _differences(
                "manifest",
                {"name": manifest.name, "version": manifest.version},
                {"name": builder.info.name, "version": str(builder.info.version)},
            )
            if tuple(manifest.class_names) != names:
                yield Problem("class_list_changed", _class_difference(manifest.class_names, names))
            elif manifest.label_map_sha256 != label_map_sha256(names):
                yield Problem(
                    "class_list_changed",
                    f"the manifest's label_map_sha256 is {manifest.label_map_sha256}, and that of "
                    f"the class list {label_map_sha256(names)}",
                )
            yield from _count_problems(manifest, builder)
            yield from _metadata_problems(manifest, self.metadata)
        for split, found in digests.items():
            yield from self._content_problems(split, found)

    def fingerprint_problems(self, fingerprint: str) -> Iterator[Problem]:
        """Yields whether the data set's fingerprint is not the manifest's."""
        if self.manifest is not None and self.manifest.fingerprint != fingerprint:
            yield Problem(
                "fingerprint_changed",
                f"the manifest has {self.manifest.fingerprint}, and the data set {fingerprint}",
            )

    def _content_problems(self, split: str, found: Sequence[str | None]) -> Iterator[Problem]:
        if self.manifest is None or split not in self.manifest.splits:
            return
        if None in found:  # told already; what the rest would give says nothing
            return
        digest = split_digest(found, dataclasses.asdict(self.manifest.settings))
        places = {MANIFEST: self.manifest.splits[split].content_sha256}
        if self.metadata is not None:
            places[_METADATA] = self.metadata.get(CONTENT_DIGESTS, {}).get(split)
        for place, told in places.items():
            if told != digest:
                yield Problem(
                    "content_changed",
                    f"split {split!r} has the digest {told} in {place}, and its records give "
                    f"{digest}",
                )


def read_notes(folder: epath.Path) -> tuple[Notes, list[Problem]]:
    """Reads what a build has noted; returns it with what is wrong with the notes themselves.

    Args:
        folder: Of the data set's version.
    """
    metadata, manifest, problems, unchecked = None, None, [], []
    try:
        metadata = noted(folder)
        if not isinstance(metadata.get(CONTENT_DIGESTS, {}), dict):
            raise ValueError("it holds no object of JSON where it should")
    except (OSError, ValueError, AttributeError) as error:
        metadata = None
        problems.append(Problem("metadata_damaged", f"{_METADATA} cannot be read ({error})"))
    try:
        if (folder / MANIFEST).exists():
            manifest = read_manifest(folder)
        else:
            unchecked.append(_NO_MANIFEST)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{MANIFEST} cannot be read ({type(error).__name__}: {error})"
        problems.append(Problem("manifest_damaged", message))
    return Notes(manifest, metadata, unchecked), problems


def fingerprint_of(folder: epath.Path) -> str:
    """Returns a data set's fingerprint, "" where a shard or a note for it is missing."""
    try:
        return describe(f"{folder.parent.name}:{folder.name}", folder.parent.parent).fingerprint
    except (DataError, OSError, ValueError, AttributeError, TypeError):
        return ""


def _count_problems(manifest: Manifest, builder: tfds.core.DatasetBuilder) -> Iterator[Problem]:
    """Yields what the manifest says of splits and shards that TFDS's own notes do not."""
    info = builder.info.splits
    yield from _differences(
        "manifest",
        {split: sorted(told.shards) for split, told in manifest.splits.items()},
        {split: sorted(epath.Path(path).name for path in info[split].filepaths) for split in info},
    )
    for split, told in manifest.splits.items():
        if split not in info:
            continue
        said = {
            "records": told.records,
            "stored": told.stored,
            "missing": told.missing,
            "dropped": sum(told.dropped.values()),
        }
        counted = {
            "records": info[split].num_examples,
            "stored": told.listed - len(told.files),
            "missing": told.listed - told.found,
            "dropped": len(told.files),
        }
        yield from _differences(f"manifest, split {split!r}", said, counted)


def _metadata_problems(manifest: Manifest, metadata: Mapping | None) -> Iterator[Problem]:
    """Yields what a run is told of the data set that the manifest tells otherwise."""
    if metadata is None:  # told already
        return
    if not metadata:
        yield Problem(
            "metadata_changed",
            f"{_METADATA} is missing or empty, by which a run knows, for one, whether clips may be "
            "mirrored; restore it from a copy",
        )
        return
    splits = manifest.splits.items()
    counted = ("listed", "found", "stored", "records")
    wanted = {
        "mirrorable": manifest.mirrorable,
        "settings": dataclasses.asdict(manifest.settings),
        "counts": {name: {key: getattr(split, key) for key in counted} for name, split in splits},
        "dropped": {name: dict(split.dropped) for name, split in splits},
    }
    for key, value in wanted.items():
        if metadata.get(key) != value:
            yield Problem(
                "metadata_changed",
                f"{key} is {metadata.get(key)} in {_METADATA}, and {value} in the manifest",
            )


def _differences(place: str, told: Mapping, found: Mapping) -> Iterator[Problem]:
    for key in {**told, **found}:
        if told.get(key) != found.get(key):
            message = f"{place}: {key} is {told.get(key)}, and {found.get(key)} in the data set"
            yield Problem("count_changed", message)


def _class_difference(told: Sequence[str], found: Sequence[str]) -> str:
    if len(told) != len(found):
        return f"the manifest has {len(told)} classes, and the data set {len(found)}"
    number = next(i for i, pair in enumerate(zip(told, found, strict=True)) if pair[0] != pair[1])
    return f"class {number} is {told[number]!r} in the manifest, {found[number]!r} in the data set"
