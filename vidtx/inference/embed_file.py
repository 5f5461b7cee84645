"""Features of many videos as one file, by a job that may be killed and goes on where it was."""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vidtx import _version
from vidtx.errors import ConfigError
from vidtx.inference.answers import FailedVideo
from vidtx.inference.embed import Embedder
from vidtx.inference.embedding_files import Part, join, read_part, suffix_of, write_part
from vidtx.inference.features import VideoFeatures

__all__ = ["Embedded", "embed_file", "free_file", "labels_of"]

# A part is whole or not there: what a killed job loses, and, as batches end with it, the reason
# that features do not depend on where it was killed.
_VIDEOS = 16


@dataclasses.dataclass(frozen=True)
class Embedded:
    """What a job has written.

    Attributes:
      out: the file.
      rows: of it.
      dim: width of the features.
      videos: that were asked for.
      before: of these, how many an earlier call of the same job had done.
      failed: those of which nothing could be made.
      partly: those that could be read in part only, with what is to be told of each.
    """

    out: str
    rows: int
    dim: int
    videos: int
    before: int
    failed: tuple[FailedVideo, ...]
    partly: tuple[tuple[str, tuple[str, ...]], ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return dataclasses.asdict(self)


def labels_of(named: Sequence[str | os.PathLike], files: Sequence[str]) -> dict[str, str | None]:
    """Labels by folders: ``ROOT/LABEL/clip.mp4`` of a folder ``ROOT`` that was named.

    Args:
      named: what a person named; of these, folders count.
      files: paths of videos, as `data_pipelines.video_files.list_video_files` gives them.

    Returns:
      For each file the name of the folder that it lies in, if that is below a named one; or None.
    """
    roots = [os.path.normpath(os.fspath(name)) for name in named if os.path.isdir(name)]

    def label(path: str) -> str | None:
        folder = os.path.dirname(os.path.normpath(path))
        below = any(folder.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
        # What is named ``.`` leaves no trace in the paths below it.
        below |= os.curdir in roots and folder not in ("", os.curdir) and not os.path.isabs(folder)
        return os.path.basename(folder) if below and folder not in roots else None

    return {path: label(path) for path in files}


def embed_file(
    embedder: Embedder,
    files: Sequence[str],
    out: str | os.PathLike,
    *,
    per: str = "clip",
    hop_seconds: float | None = None,
    labels: Mapping[str, str | None] | None = None,
    on_video: Callable[[int, int, VideoFeatures | FailedVideo | None], None] = lambda *_: None,
) -> Embedded:
    """Writes features of videos as a table of a row each clip, or each video.

    Rows are in the order of ``files``. Parts are kept in a folder beside ``out`` until all are
    there, a few videos each; the same call goes on behind the last one, and ends with the file of
    one that was never stopped. Memory holds one part.

    Args:
      embedder: the model, and how it is fed.
      files: paths of videos.
      out: a name that ends in ``.parquet`` or ``.npz``, of a file that is not there yet.
      per: as of `Embedder.embed_all`.
      hop_seconds: the same.
      labels: of the videos, by path.
      on_video: told (videos done, of these by earlier calls, what was found of the last one) at
        the start and after every video; may raise to stop.

    Raises:
      ConfigError: ``out`` is there already, ends otherwise, is being written by another process,
        or was begun with another model, options or videos.
      CheckpointError: the features are not finite.
      MachineError: the disk is full, or may not be written.
    """
    place = free_file(out)
    labels = labels or {}
    facts = {"vidtx": _version.__version__, **embedder.described(), "per": per}
    facts |= {"hop_seconds": hop_seconds, "source": embedder.pretrained.source.path}
    # Not where the weights lie, nor the version: they change no feature.
    same = {name: value for name, value in facts.items() if name not in ("vidtx", "source")}
    plan = {
        **same,
        "batch": embedder.batch,
        "videos": [[path, *_stamp(path), labels.get(path)] for path in files],
    }
    folder = place.with_name(f".{place.name}.unfinished")
    with _locked(folder, place):
        _check_plan(folder, json.loads(json.dumps(plan)))
        starts = range(0, len(files), _VIDEOS)
        names = [folder / f"{number:06d}.parquet" for number in range(len(starts))]
        parts = {path: part for path in names if (part := read_part(path)) is not None}
        before = done = sum(part.videos for part in parts.values())
        on_video(done, before, None)
        for path, first in zip(names, starts, strict=True):
            if path in parts:
                continue
            found = []
            some = files[first : first + _VIDEOS]
            features = embedder.embed_all(some, per=per, hop_seconds=hop_seconds)
            with contextlib.closing(features):
                for one in features:
                    found.append(one)
                    done += 1
                    if len(found) < len(some):
                        on_video(done, before, one)
            parts[path] = write_part(path, found, labels, embedder.dim)
            on_video(done, before, found[-1])
        ordered = [parts[path] for path in names]
        join(place, ordered, facts)
        shutil.rmtree(folder)
    return _told(place, ordered, embedder.dim, len(files), before)


def _told(
    place: pathlib.Path, parts: Sequence[Part], dim: int, videos: int, before: int
) -> Embedded:
    return Embedded(
        out=str(place),
        rows=sum(part.rows for part in parts),
        dim=dim,
        videos=videos,
        before=before,
        failed=tuple(one for part in parts for one in part.failed),
        partly=tuple(one for part in parts for one in part.partly),
    )


def free_file(out: str | os.PathLike) -> pathlib.Path:
    """The file to write.

    Raises:
      ConfigError: it is there already, lies in a bucket, or its name asks for no known format.
    """
    if "://" in os.fspath(out):
        raise ConfigError(
            f"out is {out}: features are written on this machine. Name a file here, and copy it to "
            "the bucket afterwards."
        )
    place = pathlib.Path(out).absolute()
    suffix_of(place)
    if place.exists() or place.is_symlink():
        raise ConfigError(
            f"{place} is there already, and nothing is ever written over. Name a file that is new, "
            "or delete it."
        )
    return place


def _stamp(path: str) -> tuple[int | None, int | None]:
    """(bytes, nanoseconds of its last change); Nones where no file is, which is told of later."""
    try:
        found = os.stat(path)
    except OSError:
        return None, None
    return found.st_size, found.st_mtime_ns


@contextlib.contextmanager
def _locked(folder: pathlib.Path, place: pathlib.Path) -> Iterator[None]:
    """Holds the folder of the parts for this process alone."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"Another process is writing {place}. Wait for it, or name another file."
            ) from None
        yield
    finally:
        os.close(lock)


def _check_plan(folder: pathlib.Path, plan: Mapping[str, Any]) -> None:
    """Compares a job with the one that was begun here, or puts it on record."""
    path = folder / "plan.json"
    try:
        begun = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        for part in folder.iterdir():  # of which nobody knows what they are of
            part.unlink()
        beside = folder / "plan.json.tmp"
        beside.write_text(json.dumps(plan), "utf-8")
        os.replace(beside, path)
        return
    different = [name for name in plan if begun.get(name) != plan[name]]
    if not different:
        return
    lines = []
    for name in different:
        then, now = begun.get(name), plan[name]
        if name == "videos":
            lines.append(f"videos: {_difference(then or [], now)}")
        else:
            lines.append(f"{name}: {then!r} then, {now!r} now")
    listing = "\n".join(f"  - {line}" for line in lines)
    raise ConfigError(
        f"{folder} holds parts of features that were begun otherwise:\n{listing}\nGive the same "
        "weights, options and videos to go on, name another file, or delete that folder to begin "
        "anew."
    )


def _difference(then: Sequence[Sequence[Any]], now: Sequence[Sequence[Any]]) -> str:
    """What a person has to know of two lists of videos, each of them (path, facts …)."""
    counts = f"{len(then):,} then, {len(now):,} now"
    before, here = {one[0]: one for one in then}, {one[0] for one in now}
    for path in sorted(here - before.keys()):
        return f"{counts}; {path!r} is new"
    for path in sorted(before.keys() - here):
        return f"{counts}; {path!r} is not there any more"
    for one in now:
        if one != before[one[0]]:
            return f"{counts}; {one[0]!r} is another file since, or has another label"
    return f"{counts}; the same files in another order"
