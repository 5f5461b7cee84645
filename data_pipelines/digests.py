"""Digests of a data set's content, for its fingerprint."""

from __future__ import annotations

import hashlib
import json

from etils import epath

__all__ = ["CONTENT_DIGESTS", "content_digests", "sample_digest"]

# The key of ``metadata.json`` under which a build notes each split's SHA-256.
CONTENT_DIGESTS = "content_sha256"

# Of a shard without such a note, so many blocks of so many bytes are looked at.
_SAMPLES = 8
_SAMPLE_BYTES = 1 << 16


def content_digests(folder: epath.Path) -> dict[str, str]:
    """Returns what the build of the data set in ``folder`` has noted of its splits, if anything."""
    path = folder / "metadata.json"
    return json.loads(path.read_text()).get(CONTENT_DIGESTS, {}) if path.exists() else {}


def sample_digest(path: epath.Path) -> str:
    """Returns a digest of evenly spaced blocks of a file, the first and the last among them."""
    digest = hashlib.sha256()
    last = max(0, path.stat().length - _SAMPLE_BYTES)
    with path.open("rb") as file:
        for offset in sorted({last * step // (_SAMPLES - 1) for step in range(_SAMPLES)}):
            file.seek(offset)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
