"""What a build refuses: listings that cannot be built, and too many bad videos."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.annotations.entries import Entry, Listing
from data_pipelines.build import files
from data_pipelines.errors import MissingFileError, TooManyBadError

if TYPE_CHECKING:
    from data_pipelines.build.manifest import SplitManifest

__all__ = ["check_bad", "check_found", "check_listing"]

_SHOWN = 10  # bad videos that an error message names


def check_listing(
    listing: Listing, splits: Mapping[str, Sequence[Entry]], version: str, shards: int | None
) -> None:
    """Raises ValueError about what cannot be built."""
    for name in (listing.name, *splits):
        if not re.fullmatch(r"[A-Za-z]\w*", name):
            raise ValueError(
                f"{name!r} cannot be the name of a data set or split: it must be letters, digits "
                "and underscores, beginning with a letter."
            )
    if not tfds.core.Version.is_valid(version):
        raise ValueError(f"{version=} must be three numbers, such as 1.0.0.")
    if shards is not None and shards < 1:
        raise ValueError(f"{shards=} must be at least 1, or None.")
    if not splits:
        raise ValueError(f"{listing.name} lists no videos at all; look at its annotations.")
    for class_name in listing.class_names:
        # TFDS keeps one class name a line: another line would move the labels of all that follow.
        if {"\n", "\r"} & set(class_name) or not class_name.strip():
            raise ValueError(
                f"{class_name!r} cannot be the name of a class: it must be one line of text; mend "
                "it in the annotations."
            )
    if not listing.class_names:
        raise ValueError(f"{listing.name} has no classes; a data set needs at least one.")
    seen = {}
    for split, entries in splits.items():
        for entry in entries:
            if entry.video_id in seen:
                raise ValueError(
                    f"video {entry.video_id!r} is listed in split {seen[entry.video_id]!r} and "
                    f"again in {split!r}; list it once, as names are unique in a data set."
                )
            seen[entry.video_id] = split
            try:
                entry.video_id.encode()
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"video {entry.video_id!r} has a name that is no text; rename its file."
                ) from error
            if not -1 <= entry.label < len(listing.class_names):
                raise ValueError(
                    f"video {entry.video_id!r} has label {entry.label}, and there are "
                    f"{len(listing.class_names)} classes; -1 is for one that is not known."
                )


def check_found(listing: Listing, max_bad: float) -> None:
    """Refuses a split too many of whose videos have no file, before all others are transcoded.

    Args:
        listing: What the annotations list.
        max_bad: Highest share of a split's listed videos that may be missing or unusable.

    Raises:
        TooManyBadError: More are missing already, or all of a split's.
    """
    missing = {
        name: [entry.video_id for entry in entries if entry.path is None]
        for name, entries in listing.splits.items()
    }
    worst = {
        name: names
        for name, names in missing.items()
        if names and _too_many(len(names), len(listing.splits[name]), max_bad)
    }
    if not worst:
        return
    lines, cures = [], []
    for name, names in worst.items():
        listed = len(listing.splits[name])
        lines.append(
            f"split {name!r}: {len(names)} of {listed} listed videos "
            f"({len(names)} {MissingFileError.kind})"
        )
        lines += [f"  {MissingFileError.kind}: {video_id}" for video_id in names[:_SHOWN]]
        lines += _more(len(names))
    whole = [name for name, names in worst.items() if len(names) == len(listing.splits[name])]
    others = [name for name, found in listing.splits.items() if found and name not in worst]
    if whole:
        lines.append(
            f"There is not one video of a split: {', '.join(map(repr, whole))}; check --videos."
        )
    cures.append("find them and give the same command again")
    if others:
        named = ", ".join(sorted(listing.annotations))
        cures.append(
            f"name only the annotation files of {' and '.join(map(repr, others))} in --annotations"
            + (f" (now {named})" if named else "")
        )
    if not whole:
        share = max(len(names) / len(listing.splits[name]) for name, names in worst.items())
        cures.append(f"accept this with --max_bad={_enough(share):g}")
    raise TooManyBadError(
        f"more videos are missing than {max_bad=:g} allows, so nothing is built:\n"
        + "\n".join(lines)
        + f"\nNext, {'; or '.join(cures)}."
    )


def check_bad(splits: Mapping[str, SplitManifest], note: epath.Path, max_bad: float) -> None:
    """Refuses splits too many of whose videos could not be stored.

    Args:
        splits: What became of each split's videos.
        note: The file in which all that are bad are listed, if these are too many.
        max_bad: Highest share of a split's listed videos that may be missing or unusable.

    Raises:
        TooManyBadError: More are.
    """
    worst = [name for name, split in splits.items() if _too_many(split.bad, split.listed, max_bad)]
    if not worst:
        return
    dropped = {
        name: [dataclasses.asdict(one) for one in split.files] for name, split in splits.items()
    }
    files.write_whole(note, json.dumps(dropped, indent=1))
    lines, found = [], collections.Counter()
    for name in worst:
        split = splits[name]
        found.update(split.dropped)
        kinds = ", ".join(f"{count} {kind}" for kind, count in split.dropped.items())
        lines.append(f"split {name!r}: {split.bad} of {split.listed} listed videos ({kinds})")
        lines += [
            f"  {one.kind}: {one.path or one.video_id}: {one.message}"
            for one in split.files[:_SHOWN]
        ]
        lines += _more(len(split.files))
    share = max(splits[name].bad / splits[name].listed for name in worst)
    cures = []
    if share < 1:
        cures.append(
            f"accept them with --max_bad={_enough(share):g}, which publishes what is built"
        )
    else:
        lines.append("There is not one video of a split that can be stored; check --videos.")
    # Whatever is found by then is built, and nothing else: so this is no case for --restart.
    if found[MissingFileError.kind]:
        cures.append("find the missing ones and give the same command again")
    if set(found) - {MissingFileError.kind}:
        cures.append("mend the others and build anew with --restart")
    raise TooManyBadError(
        f"more videos are missing or unusable than {max_bad=:g} allows, so nothing is published:\n"
        + "\n".join(lines)
        + f"\nAll of them are listed in {note}. Next, {'; or '.join(cures)}."
    )


def _too_many(bad: int, listed: int, max_bad: float) -> bool:
    # A quotient is rounded as the bound itself was, so that 29 of 100 are no more than 0.29.
    return bad == listed or bad / listed > max_bad


def _enough(share: float) -> float:
    """Returns a share rounded up to thousandths."""
    return min(1, int(share * 1000 + 1) / 1000)


def _more(count: int) -> list[str]:
    return [f"  … and {count - _SHOWN} more"] if count > _SHOWN else []
