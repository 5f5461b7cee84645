"""What a build prints: what is listed before it, what is stored after it, and what to do next."""

import os
import shlex
from collections.abc import Sequence
from typing import Any

from etils import epath

from data_pipelines.annotations import Listing
from data_pipelines.build import Manifest
from vidtx.cli._progress import megabytes

__all__ = ["listing_dict", "listing_text", "manifest_text"]

_NAMED = 5  # files that are named where there are many

# The config that comes with vidtx for a data set; others are trained on with the first.
_CONFIGS = {
    "kinetics400": "k400_divided",
    "kinetics600": "k600_divided",
    "something_something_v2": "ssv2_divided",
    "diving48": "diving48_divided",
    "howto100m": "howto100m_divided",
    "ucf101": "ucf101_divided",
    "hmdb51": "hmdb51_divided",
}


def listing_dict(listing: Listing) -> dict[str, Any]:
    """A listing as plain values, ready for JSON."""
    return {
        "name": listing.name,
        "class_names": list(listing.class_names),
        "splits": {
            split: {
                "listed": len(entries),
                "found": sum(entry.path is not None for entry in entries),
                "missing": [entry.video_id for entry in entries if entry.path is None],
            }
            for split, entries in listing.splits.items()
        },
        "unlisted": list(listing.unlisted),
        "mirrorable": listing.mirrorable,
        "notes": list(listing.notes),
    }


def listing_text(listing: Listing, version: str) -> str:
    """What the annotations list and what of it is there, for a person."""
    rows = []
    for split, entries in listing.splits.items():
        found = sum(entry.path is not None for entry in entries)
        rows.append((split, f"{len(entries):,}", f"{found:,}", f"{len(entries) - found:,}"))
    lines = [
        f"{listing.name} {version}: {len(listing.class_names):,} classes",
        _table(rows, ("split", "listed", "found", "missing")),
    ]
    absent = [
        entry.video_id
        for entries in listing.splits.values()
        for entry in entries
        if entry.path is None
    ]
    if absent:
        lines.append(f"Listed, and no file found: {_some(absent)}.")
    if listing.unlisted:
        lines.append(f"Video files that nothing lists: {_some(listing.unlisted)}.")
    if not listing.mirrorable:
        lines.append("Its classes tell left from right: train with --config.data.flip=False.")
    return "\n".join([*lines, *listing.notes])


def manifest_text(manifest: Manifest, out: str) -> str:
    """What was stored and what was not, and the next commands to type."""
    kinds = sorted({kind for split in manifest.splits.values() for kind in split.dropped})
    folder, rows = epath.Path(manifest.folder), []
    for name, split in manifest.splits.items():
        size = sum((folder / shard).stat().length for shard in split.shards)
        dropped = [f"{split.dropped.get(kind, 0):,}" for kind in kinds]
        counts = [f"{count:,}" for count in (split.listed, split.found)]
        stored = [f"{count:,}" for count in (split.stored, split.records)]
        rows.append((name, *counts, *dropped, *stored, megabytes(size)))
    headers = ("split", "listed", "found", *kinds, "stored", "records", "size")
    lines = [_table(rows, headers)]
    files = [one for split in manifest.splits.values() for one in split.files]
    if files:
        named = _some([one.path or one.video_id for one in files])
        lines.append(f"Left out, for the reasons in {folder / 'manifest.json'}: {named}.")
    fingerprint = f"fingerprint {manifest.fingerprint}"
    before = f"{folder} was built before, {fingerprint}; its sources were not looked at again."
    lines += [
        f"Built in {folder}, {fingerprint}." if manifest.built_now else before,
        "Next:",
        *(f"  {' '.join(map(shlex.quote, command))}" for command in next_commands(manifest, out)),
    ]
    return "\n".join(lines)


def next_commands(manifest: Manifest, out: str) -> list[list[str]]:
    """The commands that look at a built data set and train on it."""
    # Here, as a failed build needs none of it.
    from vidtx.config import load_config

    config = _CONFIGS.get(manifest.name, next(iter(_CONFIGS.values())))
    data = load_config(config).data
    first = next(iter(manifest.splits))
    judged = [split for split in manifest.splits if split != data.train_split] or [first]
    wanted = {
        "data_dir": os.fspath(out),
        "name": manifest.name,
        "train_split": data.train_split if data.train_split in manifest.splits else first,
        "eval_split": data.eval_split if data.eval_split in judged else judged[0],
        "flip": data.flip and manifest.mirrorable,
    }
    options = [f"--config={config}"]
    options += [
        f"--config.data.{key}={value}" for key, value in wanted.items() if data[key] != value
    ]
    return [
        ["vidtx", "data", "audit", os.fspath(manifest.folder)],
        ["vidtx", "data", "show", *options, f"--out={manifest.name}.png"],
        ["python", "-m", "vidtx.main", *options, f"--workdir=runs/{manifest.name}"],
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    # Here, as the tables' neighbours in that room draw pictures, which takes long to import.
    from vidtx.reporting import format_table

    return format_table(rows, headers)
