"""Which video goes into which shard, decided before any video is opened, and written down.

Videos are put in the order of a hash of their names: it depends on nothing else, and mixes classes.
Shards are contiguous slices of it. Each has a file of jobs, one line a video, in the folder
``.building`` of the data set, from which it is built by whichever process comes by.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence

from etils import epath

from data_pipelines.annotations.entries import Caption, Entry, Listing
from data_pipelines.build import files
from data_pipelines.build.checks import check_listing
from data_pipelines.build.settings import Settings
from data_pipelines.shards import BUILDING

__all__ = ["Plan", "make_plan", "read_plan", "write_plan"]

# A shard of 200 ten-second clips has about 100 MB; of videos that are cut into records, minutes
# long, 16 have. What is lost by an interruption is a shard of each worker.
_VIDEOS_A_SHARD = 200
_LONG_VIDEOS_A_SHARD = 16
_MOST_SHARDS = 10_000
_FEWEST_SHARDS = 16  # of a small data set, so that several processes have something to do
_FEWEST_VIDEOS = 4  # in each of these

# Captions held in memory before they are sorted into their shards' files.
_SPOOL_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is built, but for the videos themselves.

    Attributes:
        name: Of the data set.
        version: Such as ``1.0.0``.
        class_names: In label order.
        mirrorable: Whether clips may be mirrored.
        captioned: Whether records have captions.
        source: Where the annotations are from.
        annotations: Name of each annotation file to the SHA-256 of its bytes.
        unlisted: Number of video files that nothing lists.
        settings: How videos are stored.
        videos: Split name to number of listed videos; splits without any are left out.
        shards: Split name to number of shards.
        digest: SHA-256 of all this but ``unlisted``, and of every listed video's name and class,
            and whether it has a file.
        places: SHA-256 of where the files lie, which says nothing of what is built.
    """

    name: str
    version: str
    class_names: tuple[str, ...]
    mirrorable: bool
    captioned: bool
    source: str
    annotations: dict[str, str]
    unlisted: int
    settings: Settings
    videos: dict[str, int]
    shards: dict[str, int]
    digest: str
    places: str = ""

    def slice(self, split: str, number: int) -> tuple[int, int]:
        """Returns (first, beyond the last) of the videos of a shard within their split."""
        videos, shards = self.videos[split], self.shards[split]
        return videos * number // shards, videos * (number + 1) // shards


def make_plan(listing: Listing, settings: Settings, version: str, shards: int | None) -> Plan:
    """Plans a build.

    Args:
        listing: What the annotations list.
        settings: How videos are stored.
        version: Of the data set.
        shards: Shards of each split (at most one a video); None for a number that suits.

    Returns:
        The plan; equal for equal arguments, on every machine.

    Raises:
        ValueError: Names that TFDS cannot hold, a video that is listed twice, a label without a
            class, nothing listed at all, or an impossible number of shards.
    """
    splits = {name: entries for name, entries in sorted(listing.splits.items()) if entries}
    check_listing(listing, splits, version, shards)
    counts = {
        name: _number_of_shards(len(entries), settings, shards) for name, entries in splits.items()
    }
    plan = Plan(
        name=listing.name,
        version=version,
        class_names=tuple(listing.class_names),
        mirrorable=listing.mirrorable,
        captioned=listing.captions is not None,
        source=listing.source,
        annotations=dict(sorted(listing.annotations.items())),
        unlisted=0,
        settings=settings,
        videos={name: len(entries) for name, entries in splits.items()},
        shards=counts,
        digest="",
    )
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(plan), sort_keys=True).encode())
    places = hashlib.sha256()
    for name, entries in splits.items():
        for entry in _ordered(entries):
            places.update(f"{json.dumps(entry.path)}\n".encode())
            line = [name, entry.video_id, entry.path is not None, entry.label]
            digest.update(json.dumps(line).encode())
    if listing.captions and not listing.annotations:  # else their files' digests stand for them
        for video_id, captions in listing.captions():
            digest.update(json.dumps([video_id, _rows(captions)]).encode())
    digests = {"digest": digest.hexdigest(), "places": places.hexdigest()}
    return dataclasses.replace(plan, unlisted=len(listing.unlisted), **digests)


def write_plan(
    plan: Plan,
    listing: Listing,
    folder: epath.Path,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Writes the files of jobs, and the plan itself when they are all there.

    Where there are files of jobs already, the shards of those that stay the same stay finished.
    Captions stream from the annotations into files beside the jobs, so that memory holds those of
    one shard at a time.

    Args:
        plan: Of this listing.
        listing: What the annotations list.
        folder: The data set's, ``OUT/NAME/VERSION``.
        between: Called now and then; what it raises stops the writing.
    """
    building = folder / BUILDING
    ordered = {name: _ordered(listing.splits[name]) for name in plan.videos}
    slices = {
        (name, number): plan.slice(name, number)
        for name, count in plan.shards.items()
        for number in range(count)
    }
    with tempfile.TemporaryDirectory(
        prefix=files.LEFTOVER, dir=files.local_folder(building)
    ) as spool:
        spooled = _spool_captions(listing, ordered, slices, pathlib.Path(spool), between)
        for (name, number), (start, stop) in slices.items():
            between()
            captions = _read_spool(spooled.get((name, number)))
            lines = []
            for entry in ordered[name][start:stop]:
                job = {"video_id": entry.video_id, "path": entry.path, "label": entry.label}
                line = json.dumps(job)
                if plan.captioned:
                    line = f'{line[:-1]}, "captions": {captions.get(entry.video_id, "[]")}}}'
                lines.append(line + "\n")
            _write_jobs(building, files.stem(name, number), "".join(lines))
    os.sync()  # for the files of jobs must be there when this one is
    files.write_whole(building / "plan.json", json.dumps(dataclasses.asdict(plan), indent=1))


def _write_jobs(building: epath.Path, stem: str, text: str) -> None:
    """Writes a file of jobs, unless it is there, and takes back that its shard is finished.

    It stays finished where only the folder of the videos has another name than it had.
    """
    path = building / f"{stem}.jsonl"
    before = path.read_text() if path.exists() else None
    if before == text:
        return
    if before is None or _without_places(before) != _without_places(text):
        (building / f"{stem}{files.DONE}").unlink(missing_ok=True)
    files.write_whole(path, text, flush=False)  # there may be many; done for all at once


def _without_places(text: str) -> list[dict] | None:
    """Returns jobs with whether there is a file instead of where it lies; None for damaged ones."""
    try:
        jobs = [json.loads(line) for line in text.splitlines()]
        return [{**job, "path": job["path"] is not None} for job in jobs]
    except (ValueError, KeyError, TypeError):
        return None


def read_plan(folder: epath.Path) -> Plan | None:
    """Returns the plan of the unfinished build in a data set's folder, if it was written whole."""
    path = folder / BUILDING / "plan.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    content["class_names"] = tuple(content["class_names"])
    content["settings"] = Settings(**content["settings"])
    return Plan(**content)


def _ordered(entries: Sequence[Entry]) -> list[Entry]:
    """Returns videos in the order in which they are stored."""
    return sorted(entries, key=lambda entry: hashlib.sha256(entry.video_id.encode()).digest())


def _number_of_shards(videos: int, settings: Settings, shards: int | None) -> int:
    if shards is None:
        each = _LONG_VIDEOS_A_SHARD if settings.record_seconds else _VIDEOS_A_SHARD
        few = min(_FEWEST_SHARDS, videos // _FEWEST_VIDEOS)
        shards = min(_MOST_SHARDS, max(math.ceil(videos / each), few))
    return max(1, min(shards, videos))


def _rows(captions: Sequence[Caption]) -> list[tuple[float, float, str]]:
    return [(caption.start, caption.end, caption.text) for caption in captions]


def _spool_captions(
    listing: Listing,
    ordered: Mapping[str, Sequence[Entry]],
    slices: Mapping[tuple[str, int], tuple[int, int]],
    spool: pathlib.Path,
    between: Callable[[], None],
) -> dict[tuple[str, int], pathlib.Path]:
    """Sorts captions into one file a shard, and returns the files that there are.

    A line is a video's name and its captions, both as JSON, which has no tabs, with one between.
    """
    if listing.captions is None:
        return {}
    place = {
        entry.video_id: key
        for key, (start, stop) in slices.items()
        for entry in ordered[key[0]][start:stop]
    }
    spooled, held, num_bytes = {}, collections.defaultdict(list), 0

    def flush() -> None:
        for key, lines in held.items():
            spooled[key] = spool / files.stem(*key)
            with spooled[key].open("a") as file:
                file.writelines(lines)
        held.clear()

    for video_id, captions in listing.captions():
        between()
        if video_id in place:
            line = f"{json.dumps(video_id)}\t{json.dumps(_rows(captions))}\n"
            held[place[video_id]].append(line)
            num_bytes += len(line)
            if num_bytes > _SPOOL_BYTES:
                flush()
                num_bytes = 0
    flush()
    return spooled


def _read_spool(path: pathlib.Path | None) -> dict[str, str]:
    """Returns video name to its captions as JSON."""
    if path is None:
        return {}
    pairs = (line.split("\t", 1) for line in path.read_text().splitlines())
    return {json.loads(video_id): captions for video_id, captions in pairs}
