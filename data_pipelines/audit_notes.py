"""An audit's work on what a build has noted: manifest and metadata against what is really there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.audit_records import Problem
from data_pipelines.build.manifest import MANIFEST, Manifest, label_map_sha256, read_manifest
from data_pipelines.digests import content_digests, split_digest
from data_pipelines.errors import DataError
from data_pipelines.labels import class_names_of
from data_pipelines.records import describe

__all__ = ["Notes", "fingerprint_of", "read_notes"]

_NO_MANIFEST = (
    f"There is no {MANIFEST}, so shards, class list and counts cannot be compared with what the "
    "build made."
)


@dataclasses.dataclass(frozen=True)
class Notes:
    """What a build has noted.

    Attributes:
        manifest: Its manifest, None where there is none that can be read.
        content: Split name to the digest of its content that ``metadata.json`` has; None where that
            file cannot be read.
        unchecked: What cannot be looked at for want of notes, a sentence each.
    """

    manifest: Manifest | None
    content: Mapping[str, str] | None
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
        if self.content is not None:
            places["metadata.json"] = self.content.get(split)
        for place, noted in places.items():
            if noted != digest:
                yield Problem(
                    "content_changed",
                    f"split {split!r} has the digest {noted} in {place}, and its records give "
                    f"{digest}",
                )


def read_notes(folder: epath.Path) -> tuple[Notes, list[Problem]]:
    """Reads what a build has noted; returns it with what is wrong with the notes themselves.

    Args:
        folder: Of the data set's version.
    """
    content, manifest, problems, unchecked = None, None, [], []
    try:
        content = content_digests(folder)
    except (ValueError, AttributeError) as error:
        problems.append(Problem("metadata_damaged", f"metadata.json cannot be read ({error})"))
    try:
        if (folder / MANIFEST).exists():
            manifest = read_manifest(folder)
        else:
            unchecked.append(_NO_MANIFEST)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{MANIFEST} cannot be read ({type(error).__name__}: {error})"
        problems.append(Problem("manifest_damaged", message))
    return Notes(manifest, content, unchecked), problems


def fingerprint_of(folder: epath.Path) -> str:
    """Returns a data set's fingerprint, "" where a shard or a note for it is missing."""
    try:
        return describe(f"{folder.parent.name}:{folder.name}", folder.parent.parent).fingerprint
    except (DataError, ValueError):
        return ""


def _count_problems(manifest: Manifest, builder: tfds.core.DatasetBuilder) -> Iterator[Problem]:
    """Yields what the manifest says of splits and shards that TFDS's own notes do not."""
    info = builder.info.splits
    yield from _differences(
        "manifest",
        {split: sorted(noted.shards) for split, noted in manifest.splits.items()},
        {split: sorted(epath.Path(path).name for path in info[split].filepaths) for split in info},
    )
    for split, noted in manifest.splits.items():
        if split not in info:
            continue
        said = {
            "records": noted.records,
            "stored": noted.stored,
            "missing": noted.missing,
            "dropped": sum(noted.dropped.values()),
        }
        counted = {
            "records": info[split].num_examples,
            "stored": noted.listed - len(noted.files),
            "missing": noted.listed - noted.found,
            "dropped": len(noted.files),
        }
        yield from _differences(f"manifest, split {split!r}", said, counted)


def _differences(place: str, noted: Mapping, found: Mapping) -> Iterator[Problem]:
    for key in {**noted, **found}:
        if noted.get(key) != found.get(key):
            message = f"{place}: {key} is {noted.get(key)}, and {found.get(key)} in the data set"
            yield Problem("count_changed", message)


def _class_difference(noted: Sequence[str], found: Sequence[str]) -> str:
    if len(noted) != len(found):
        return f"the manifest has {len(noted)} classes, and the data set {len(found)}"
    number = next(i for i, pair in enumerate(zip(noted, found, strict=True)) if pair[0] != pair[1])
    return f"class {number} is {noted[number]!r} in the manifest, {found[number]!r} in the data set"
