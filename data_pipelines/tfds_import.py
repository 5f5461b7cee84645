"""Importing a data set of TFDS that holds videos as frames (UCF101, Moving MNIST, …), once.

Needs TensorFlow, behind the extra ``tf``. First every video is laid down as a file of exactly the
same frames, in a folder beside the data set to be; then these files are built like any others, so
that an import has all that a build has: storage, shards, manifest, fingerprint, dropped videos, and
resumption after an interruption, here of both halves. At the end the folder is deleted.
"""

from __future__ import annotations

import fractions
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence

import av
import numpy as np
from etils import epath

from data_pipelines.annotations.entries import Entry, Listing
from data_pipelines.build import Manifest, Settings, build, read_manifest
from data_pipelines.build.manifest import MANIFEST
from data_pipelines.build.publish import is_published
from data_pipelines.errors import BuildConflictError, DataError, UnknownSplitError
from data_pipelines.tfds_frames import FrameDataset, open_frames

__all__ = ["FrameRateError", "import_frames"]

# Matroska, of FFV1.
_SUFFIX = ".mkv"


class FrameRateError(DataError):
    """It is not said how many frames a second an imported data set has."""


# What stands for the classes of a data set without any; its labels are all -1.
_NO_CLASSES = ("unknown",)


def import_frames(
    name: str,
    out: str | os.PathLike,
    settings: Settings | None = None,
    *,
    fps: float | None,
    tfds_dir: str | os.PathLike | None = None,
    video: str | None = None,
    label: str | None = None,
    splits: Sequence[str] | None = None,
    new_name: str | None = None,
    version: str = "1.0.0",
    laid_down: Callable[[str, int, int], None] = lambda split, done, total: None,
    between: Callable[[], None] = lambda: None,
    **options,
) -> Manifest:
    """Imports a data set of TFDS whose videos are frames; what it has finished is not done again.

    Needs free space in ``out`` for about a fifth of the frames' own bytes (height x width x 3 each)
    until it is done, beside what it builds. Videos are named ``SPLIT_NUMBER``, in TFDS's order, and
    their ``source_sha256`` is that of a lossless file, which the frames determine; the manifest's
    ``annotations`` hold, for each split, a SHA-256 of all frames' bytes and classes.

    Args:
        name: As TFDS knows it, such as ``ucf101`` or ``ucf101/ucf101_2:2.0.0``.
        out: The folder of all data sets; another than TFDS's.
        settings: How videos are stored.
        fps: Frames per second, which TFDS does not record.
        tfds_dir: The folder where TFDS keeps its data sets, or is to; None for TFDS's default.
        video: The feature that holds the video; None where there is one alone.
        label: Likewise the class, or ``""`` for none.
        splits: Names of splits; None for all.
        new_name: Of what is built; None for TFDS's name.
        version: Of what is built.
        laid_down: Called with split, videos laid down and videos in all, after each of them.
        between: Called some times a second, or after each video. What it raises stops the import.
        **options: As of :func:`data_pipelines.build.build`.

    Returns:
        What is built; at once, if the very same import was finished before.

    Raises:
        MissingExtraError: TensorFlow is not installed.
        FrameRateError: ``fps`` is not given.
        DatasetMissingError: TFDS cannot give the data set, or it holds no videos, or several.
        UnknownSplitError: There is no such split.
        BuildConflictError: Another data set is where this one is to be.
        VideoError: Frames are no pictures of 8 bits and 1 or 3 channels.
    """
    data = open_frames(name, tfds_dir, video=video, label=label)
    if not (fps and fps > 0):
        raise _no_rate(data, fps)
    new_name, settings = new_name or data.name, settings or Settings()
    folder = epath.Path(out) / new_name / version
    _check_place(data, folder.parent)
    source = f"{data.source} of TFDS, feature {'/'.join(data.video)}, taken at {fps:g} frames/s"
    if is_published(folder) and (folder / MANIFEST).exists():
        made = read_manifest(folder)
        if options.get("restart"):
            raise BuildConflictError(
                f"{folder} is finished; delete it, or choose another --version."
            )
        if made.source == source and made.settings == settings:
            return made
        raise BuildConflictError(
            f"{folder} holds a finished data set from: {made.source or 'elsewhere'}, stored as "
            f"{made.settings}, and none is ever overwritten; delete it, or choose another --out, "
            "--name or --version."
        )
    data.prepare()
    unknown = set(splits or ()) - set(data.splits)
    if unknown:
        raise UnknownSplitError(
            f"{data.source} has no split {sorted(unknown)}; it has {sorted(data.splits)}."
        )
    token = hashlib.sha256(source.encode()).hexdigest()[:12]
    frames = epath.Path(out) / f".{new_name}-frames-{token}"

    def step(*progress) -> None:
        laid_down(*progress)
        between()

    entries, digests = lay_down(data, splits or sorted(data.splits), frames, fps, step)
    listing = Listing(
        name=new_name,
        class_names=data.class_names or _NO_CLASSES,
        splits=entries,
        annotations=digests,
        source=source,
    )
    made = build(listing, out, settings, version=version, between=between, **options)
    frames.rmtree()
    return made


def _no_rate(data: FrameDataset, fps: float | None) -> FrameRateError:
    cut = " ".join(data.ffmpeg_arguments)
    hint = f" Its frames were cut with ffmpeg's {cut}." if cut else ""
    return FrameRateError(
        f"fps is {fps}, and TFDS does not record how many frames a second {data.source} has.{hint} "
        "Give the rate that its authors name, such as --fps=25 for ucf101."
    )


def _check_place(data: FrameDataset, folder: epath.Path) -> None:
    """Refuses to build a data set into the folder where TFDS keeps the one that is imported."""
    if folder.resolve() in data.builder.data_path.resolve().parents:
        raise BuildConflictError(
            f"{folder} is where TFDS keeps {data.source}, and the versions of both would be mixed "
            "up; choose another --out."
        )


def lay_down(
    data: FrameDataset,
    splits: Sequence[str],
    folder: epath.Path,
    fps: float,
    step: Callable[[str, int, int], None] = lambda split, done, total: None,
) -> tuple[dict[str, list[Entry]], dict[str, str]]:
    """Writes each video of some splits as a file of exactly its frames, those there already aside.

    Args:
        data: The data set to read.
        splits: Names of splits.
        folder: Gets a folder for each split.
        fps: Frames per second.
        step: Called with split, videos laid down and videos in all, after each of them.

    Returns:
        Split to its videos; and source and split to a SHA-256 of all their frames and classes.
    """
    entries, digests = {}, {}
    for split in splits:
        place = folder / split
        place.mkdir(parents=True, exist_ok=True)
        # Laid down in order, each by one rename: so many are whole, and the next one is next.
        laid = sorted(path.name for path in place.iterdir() if path.name.endswith(_SUFFIX))
        for number, (frames, label) in enumerate(data.videos(split, len(laid)), len(laid)):
            name = f"{number:08d}_{label}_{_digest(frames)}{_SUFFIX}"
            unfinished = place / "unfinished"
            unfinished.write_bytes(encode_exactly(frames, fps))
            unfinished.rename(place / name)
            laid.append(name)
            step(split, len(laid), data.splits[split])
        entries[split] = [_entry(split, place, name) for name in laid]
        digests[f"{data.source} {split}"] = hashlib.sha256("\n".join(laid).encode()).hexdigest()
    return entries, digests


def _digest(frames: np.ndarray) -> str:
    """Returns a SHA-256 of a video's frames, in the shape in which they are imported."""
    digest = hashlib.sha256(json.dumps(frames.shape).encode())
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


def _entry(split: str, place: epath.Path, name: str) -> Entry:
    number, label, _ = name.split("_")
    return Entry(f"{split}_{number}", os.fspath(place / name), int(label))


def encode_exactly(frames: np.ndarray, fps: float) -> bytes:
    """Returns a Matroska file (FFV1) that decodes to exactly these frames.

    It takes about a fifth of the frames' own bytes, and the same frames give the same file.

    Args:
        frames: uint8 [T, height, width, 3], RGB.
        fps: Frames per second.
    """
    rate = fractions.Fraction(fps).limit_denominator(1001)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("ffv1", rate=rate, options={"level": "3", "slicecrc": "1"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = 1 / rate
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format="bgr0")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
