"""What a build leaves beside its records: where each came from, and what is not among them."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Mapping, Sequence

import av
import numpy as np
from etils import epath

from data_pipelines.build.jobs import Dropped
from data_pipelines.build.settings import Settings
from data_pipelines.encode import CANONICAL, encode_mp4
from data_pipelines.errors import DatasetMissingError

__all__ = ["MANIFEST", "Manifest", "SplitManifest", "encoder_of", "pixel_versions", "read_manifest"]

MANIFEST = "manifest.json"

# Grows whenever this room comes to store other pictures of the same videos.
_BUILD_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class SplitManifest:
    """What became of a split's listed videos.

    Attributes:
        listed: Videos that the annotations list.
        found: Of these, those with a file.
        missing: Of these, those without.
        stored: Videos that are stored.
        records: Records that they are stored in.
        dropped: Kind of failure to number of videos; those that are missing included.
        files: Each video that is dropped.
        shards: Name of each shard's file to its SHA-256.
        content_sha256: Of what the records show, whichever encoder wrote them.
    """

    listed: int
    found: int
    missing: int
    stored: int
    records: int
    dropped: Mapping[str, int]
    files: Sequence[Dropped]
    shards: Mapping[str, str]
    content_sha256: str

    @property
    def bad(self) -> int:
        """Listed videos that are not stored."""
        return self.listed - self.stored


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a build made, and of what.

    Attributes:
        name: Of the data set.
        version: Such as ``1.0.0``.
        folder: Where it is; not part of the file.
        built_now: Whether the call that returned this has built it; False if it was found finished,
            so that nobody has looked at its sources again. Not part of the file.
        fingerprint: As :func:`data_pipelines.records.describe` gives it.
        plan: Digest of what was to be built.
        splits: Split name to what became of it.
        class_names: In label order.
        label_map_sha256: Of the class names in that order.
        mirrorable: Whether clips may be mirrored.
        source: Where the annotations are from.
        annotations: Name of each annotation file to its SHA-256.
        unlisted: Number of video files that nothing lists.
        settings: How videos are stored.
        encoder: The encoder's options.
        versions: Of the software that decides about pixels.
    """

    name: str
    version: str
    folder: str
    fingerprint: str
    plan: str
    splits: Mapping[str, SplitManifest]
    class_names: Sequence[str]
    label_map_sha256: str
    mirrorable: bool
    source: str
    annotations: Mapping[str, str]
    unlisted: int
    settings: Settings
    encoder: Mapping[str, str]
    versions: Mapping[str, str]
    built_now: bool = dataclasses.field(default=False, compare=False)

    def to_json(self) -> str:
        """Returns the content of ``manifest.json``."""
        content = dataclasses.asdict(self)
        del content["folder"], content["built_now"]
        return json.dumps(content, indent=1) + "\n"


def read_manifest(folder: str | os.PathLike) -> Manifest:
    """Reads the manifest of a built data set.

    Args:
        folder: The data set's, ``OUT/NAME/VERSION``.

    Raises:
        DatasetMissingError: There is no manifest.
    """
    path = epath.Path(folder) / MANIFEST
    if not path.exists():
        raise DatasetMissingError(
            f"{path} does not exist: the build of this data set is not finished, or it was not "
            "built by vidtx data build."
        )
    content = json.loads(path.read_text())
    for split in content["splits"].values():
        split["files"] = tuple(Dropped(**dropped) for dropped in split["files"])
    content |= {
        "folder": os.fspath(folder),
        "class_names": tuple(content["class_names"]),
        "settings": Settings(**content["settings"]),
        "splits": {name: SplitManifest(**split) for name, split in content["splits"].items()},
    }
    return Manifest(**content)


def label_map_sha256(class_names: Sequence[str]) -> str:
    """Returns a SHA-256 of class names in label order."""
    return hashlib.sha256(json.dumps(list(class_names)).encode()).hexdigest()


def encoder_of(settings: Settings) -> dict[str, str]:
    """Returns the options of the encoder that a storage uses."""
    return {
        "canonical": {"codec": "libx264", "pix_fmt": "yuv420p", **CANONICAL},
        "jpeg": {"codec": "jpeg", "quality": str(settings.jpeg_quality)},
        "as_is": {},
    }[settings.storage]


def pixel_versions() -> dict[str, str]:
    """Returns the versions of whatever has a say in stored pixels."""
    versions = {"build_format": str(_BUILD_FORMAT)}
    packages = ("vidtx", "av", "numpy", "opencv-python-headless", "array_record")
    for package in (*packages, "tensorflow-datasets"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # a checkout, or another package's cv2
            continue
    for library, numbers in av.library_versions.items():
        versions[library] = ".".join(map(str, numbers))
    # x264 signs what it encodes.
    signed = encode_mp4(np.zeros((1, 16, 16, 3), np.uint8), fps=1)
    signature = re.search(rb"x264 - core (\d+ r?\d*)", signed)
    if signature:
        versions["x264"] = signature[1].decode().strip()
    return versions
