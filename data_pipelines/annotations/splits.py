"""Splits: their usual names, and which videos are held out where nothing says so."""

from __future__ import annotations

import hashlib
import re

__all__ = ["ORDER", "held_out", "split_in", "split_named"]

ORDER = ("train", "validation", "test")

_NAMES = {
    "train": "train",
    "training": "train",
    "trainlist": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "vallist": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "testlist": "test",
}
_WORDS = re.compile(r"[a-z]+")


def split_named(name: str) -> str | None:
    """Returns the split that a folder's or a column's name is for, ``val`` being validation."""
    return _NAMES.get(name.strip().lower())


def split_in(file_name: str) -> str | None:
    """Returns the split that a file is for, by a word in its name, as in ``kinetics_val.csv``.

    None where no word names a split, or two words name different ones.
    """
    words = _WORDS.findall(file_name.rpartition(".")[0].lower())
    named = {_NAMES[word] for word in words if word in _NAMES}
    return named.pop() if len(named) == 1 else None


def held_out(video_id: str, share: float) -> bool:
    """Tells whether a video is among those held out.

    By a hash of its id alone, so that a video stays on its side when others come or go.

    Args:
        video_id: Unique within the data set.
        share: Expected share of all videos, 0 … 1.
    """
    digest = hashlib.sha256(video_id.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
