"""Digests of a data set's content, for its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from etils import epath

__all__ = [
    "BUILT_SETTINGS",
    "CONTENT_DIGESTS",
    "content_digests",
    "fingerprint",
    "noted",
    "record_digest",
    "sample_digest",
    "split_digest",
]

# The key of ``metadata.json`` under which a build notes each split's SHA-256.
CONTENT_DIGESTS = "content_sha256"

# The key under which `data_pipelines.build`, and nothing else, notes how videos are stored.
BUILT_SETTINGS = "settings"

# Of a shard without such a note, so many blocks of so many bytes are looked at.
_SAMPLES = 8
_SAMPLE_BYTES = 1 << 16


def noted(folder: epath.Path) -> dict:
    """Returns what the build of the data set in ``folder`` has noted about it, if anything."""
    path = folder / "metadata.json"
    return json.loads(path.read_text()) if path.exists() else {}


def content_digests(folder: epath.Path) -> dict[str, str]:
    """Returns the digests that the build of the data set in ``folder`` has noted of its splits."""
    return noted(folder).get(CONTENT_DIGESTS, {})


def record_digest(
    video_id: str,
    label: int,
    source_sha256: str,
    source_start: float,
    source_end: float,
    captions: Sequence[tuple[float, float, str]],
) -> str:
    """Returns a SHA-256 of what a built record shows, whichever encoder wrote it.

    Times count as records hold them, in single precision, so that it can be found anew from those.

    Args:
        video_id: Its name.
        label: Its class.
        source_sha256: Of the bytes of the file that it was made from.
        source_start: Seconds into that video at which the record begins.
        source_end: Seconds into that video at which the record ends.
        captions: (start, end, text) of each, in seconds of the record.
    """

    def kept(seconds: float) -> float:
        return float(np.float32(seconds))  # as the record holds it

    rows = [[kept(start), kept(end), text] for start, end, text in captions]
    content = [video_id, label, source_sha256, kept(source_start), kept(source_end), rows]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def split_digest(records: Iterable[str], settings: Mapping[str, object]) -> str:
    """Returns a SHA-256 of a built split.

    Args:
        records: :func:`record_digest` of each record, in order.
        settings: How videos are stored.
    """
    digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode())
    for record in records:
        digest.update(record.encode())
    return digest.hexdigest()


def fingerprint(
    name: str,
    version: str,
    class_names: Sequence[str],
    types: Mapping[str, object],
    lengths: Sequence[tuple[str, int]],
    stored: object,
) -> str:
    """Returns a data set's fingerprint, a SHA-256.

    Args:
        name: As under TFDS.
        version: Such as ``1.0.0``.
        class_names: In label order.
        types: Feature name to what a record holds under it.
        lengths: (split, number of records) of each shard, splits in order of their names; of what
            `data_pipelines.build` has built, of each split instead.
        stored: Digests of the content.
    """
    content = [name, version, class_names, types, lengths, stored]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sample_digest(path: epath.Path) -> str:
    """Returns a digest of evenly spaced blocks of a file, the first and the last among them."""
    digest = hashlib.sha256()
    last = max(0, path.stat().length - _SAMPLE_BYTES)
    with path.open("rb") as file:
        for offset in sorted({last * step // (_SAMPLES - 1) for step in range(_SAMPLES)}):
            file.seek(offset)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
