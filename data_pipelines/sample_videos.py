"""Sample videos as ordinary files, for whoever has none at hand: ``FOLDER/LABEL/clip.mp4``.

    python -m data_pipelines.sample_videos my_videos
    python -m data_pipelines.sample_videos --long=day.mp4

Eight motions that go on and on, of which four are written unless others are asked for. Videos are
landscape or portrait and a few seconds long, as a phone would have them. Neither their pixels nor
their labels are those of the `motions` data set.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from data_pipelines.encode import encode_mp4
from data_pipelines.motions_render import draw_background, draw_picture, draw_sprite

__all__ = ["FPS", "LABELS", "Passage", "draw_video", "write_long_video", "write_videos"]

LABELS = ("bounce", "circle", "swing", "zoom", "eight", "fall", "shake", "spiral")
FPS = 12.0
SECONDS = (2.2, 3.4)  # of a video, drawn between
PASSAGE_SECONDS = 6.0  # of one motion in a long video

_USUAL = LABELS[:4]
_SIZES = ((96, 128), (128, 96))  # height and width in pixels
_PERIOD = (0.9, 1.3)  # seconds in which a motion comes round
_RADIUS = (0.10, 0.15)  # of the shape; lengths are in shorter sides of the picture
_REACH = (0.22, 0.30)  # how far its middle goes
_SHIFT = 0.04
_ZOOM = (1.5, 1.9)  # factor by which it grows, and shrinks
_SUBFRAMES = 3  # a frame interval
_EXPOSED = 10  # sub-frames of a frame: a shutter that is open for a quarter of a second


@dataclasses.dataclass(frozen=True)
class Passage:
    """What happens in a part of a long video.

    Attributes:
      label: one of :data:`LABELS`.
      start: seconds.
      end: seconds.
    """

    label: str
    start: float
    end: float


def draw_video(
    seed: tuple[int, ...], label: str, *, seconds: float, size: tuple[int, int]
) -> np.ndarray:
    """The frames of one motion: uint8 [T, height, width, 3], RGB, at :data:`FPS`.

    Args:
      seed: non-negative integers, of everything that is drawn.
      label: one of :data:`LABELS`.
      seconds: length.
      size: height and width in pixels.

    Raises:
      ValueError: there is no such label.
    """
    rng = np.random.default_rng(seed)
    frames = max(1, round(seconds * FPS))
    background = draw_background(rng, size).astype(np.float32)
    sprite = draw_sprite(rng)
    times = np.arange((frames - 1) * _SUBFRAMES + _EXPOSED) / (_SUBFRAMES * FPS)
    changes = [_change(background, sprite, at) for at in _path(rng, label, times, size)]
    video = np.empty((frames, *background.shape), np.uint8)
    for number in range(frames):
        total = np.zeros_like(background)
        for place, change in changes[number * _SUBFRAMES :][:_EXPOSED]:
            total[place] += change
        video[number] = np.rint(background + total / _EXPOSED)
    return video


def _change(
    background: np.ndarray, sprite: np.ndarray, at: np.ndarray
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Where the shape changes the picture, and by what; most of it stays as it is."""
    x, y, radius, turn = at
    reach = 1.5 * radius + 1  # the corners of a square, turned
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    place = slice(top, max(top, int(y + reach) + 2)), slice(left, max(left, int(x + reach) + 2))
    before = background[place]
    return place, draw_picture(before, sprite, x - left, y - top, radius, turn) - before


def _path(
    rng: np.random.Generator, label: str, times: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Where the shape is: float64 [len(times), 4], as `motions_render.Scene.path` has it."""
    turns = times / rng.uniform(*_PERIOD) + rng.uniform()
    angle = 2 * np.pi * turns
    reach = rng.uniform(*_REACH)
    sense = rng.choice((-1, 1))
    radius = np.full(len(times), rng.uniform(*_RADIUS))
    x, y = np.zeros(len(times)), np.zeros(len(times))
    if label == "bounce":
        y = reach * (1 - 2 * abs(np.sin(angle / 2)))
    elif label == "circle":
        x, y = reach * np.cos(angle), sense * reach * np.sin(angle)
    elif label == "swing":
        # A pendulum on a long string: it rises a little on both sides.
        x, y = reach * np.sin(angle), -0.15 * reach * np.sin(angle) ** 2
    elif label == "zoom":
        radius = radius * rng.uniform(*_ZOOM) ** np.sin(angle)
    elif label == "eight":
        x, y = reach * np.sin(angle / 2), sense * 0.7 * reach * np.sin(angle)
    elif label == "fall":
        y = reach * (2 * (turns % 1) ** 2 - 1)
    elif label == "shake":
        x, y = 0.4 * reach * np.sin(3 * angle), sense * 0.4 * reach * np.sin(3 * angle)
    elif label == "spiral":
        outwards = abs(turns % 2 - 1)
        x, y = reach * outwards * np.cos(angle), sense * reach * outwards * np.sin(angle)
    else:
        raise ValueError(f"{label=} must be one of {', '.join(LABELS)}.")
    (height, width), side = size, min(size)
    x, y = (way + rng.uniform(-_SHIFT, _SHIFT) for way in (x, y))
    turned = np.full(len(times), rng.uniform(0, 2 * np.pi))
    return np.stack([x * side + width / 2, y * side + height / 2, radius * side, turned], axis=1)


def write_videos(
    folder: str | os.PathLike,
    *,
    labels: Sequence[str] = _USUAL,
    per_class: int = 24,
    seed: int = 0,
) -> list[pathlib.Path]:
    """Writes ``folder/LABEL/LABEL_001.mp4`` and so on: H.264, without sound.

    Args:
      folder: made where it is missing.
      labels: of :data:`LABELS`.
      per_class: videos of each.
      seed: another number gives other videos.

    Returns:
      The files, by label and number.

    Raises:
      ValueError: there is no such label.
      FileExistsError: one of the files is there already; nothing is written.
      OSError: the folder cannot be written.
    """
    unknown = [label for label in labels if label not in LABELS]
    if unknown:
        raise ValueError(f"labels={unknown} must be some of {', '.join(LABELS)}.")
    plan = [(label, number) for label in labels for number in range(1, per_class + 1)]
    paths = [pathlib.Path(folder, label, f"{label}_{number:03d}.mp4") for label, number in plan]
    there = [path for path in paths if path.exists()]
    if there:
        raise FileExistsError(f"{there[0]} is there already; name another folder, or delete it.")
    for path, (label, number) in zip(paths, plan, strict=True):
        drawn = (2, seed, LABELS.index(label), number)
        rng = np.random.default_rng(drawn)
        size = _SIZES[rng.integers(len(_SIZES))]
        frames = draw_video((*drawn, 0), label, seconds=rng.uniform(*SECONDS), size=size)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_mp4(frames, fps=FPS))
    return paths


def write_long_video(
    path: str | os.PathLike,
    *,
    labels: Sequence[str] = _USUAL,
    passages: int = 5,
    seed: int = 0,
) -> list[Passage]:
    """Writes one video of several motions, one after the other, each in a scene of its own.

    Args:
      path: of an MP4 file; overwritten.
      labels: of :data:`LABELS`; they take turns, in an order that is drawn.
      passages: motions, of `PASSAGE_SECONDS` each.
      seed: another number gives another video.

    Returns:
      What happens when.

    Raises:
      ValueError: there is no such label.
      OSError: it cannot be written.
    """
    rng = np.random.default_rng((3, seed))
    turn = [str(label) for label in rng.permutation(labels)]
    order = [turn[number % len(turn)] for number in range(passages)]
    frames = [
        draw_video((3, seed, number), label, seconds=PASSAGE_SECONDS, size=_SIZES[0])
        for number, label in enumerate(order)
    ]
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_mp4(np.concatenate(frames), fps=FPS))
    starts = [number * PASSAGE_SECONDS for number in range(passages)]
    return [
        Passage(label, start, start + PASSAGE_SECONDS)
        for label, start in zip(order, starts, strict=True)
    ]


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m data_pipelines.sample_videos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folder", nargs="?", help="to write FOLDER/LABEL/clip.mp4 into")
    add("--long", metavar="FILE", help="writes one long video of several motions")
    add("--labels", default=",".join(_USUAL), help=f"of {', '.join(LABELS)} (default: the first 4)")
    add("--per_class", type=int, default=24, metavar="N", help="videos of each label (default: 24)")
    add("--seed", type=int, default=0, metavar="N", help="another number gives other videos")
    options = parser.parse_args(arguments)
    labels = options.labels.split(",")
    problems = [f"--labels: there is no {label!r}" for label in labels if label not in LABELS]
    problems += [
        f"--{name}={getattr(options, name)} must be {least} or more"
        for name, least in (("per_class", 1), ("seed", 0))
        if getattr(options, name) < least
    ]
    if options.folder is None and options.long is None:
        problems.append("name a FOLDER, or a file with --long")
    if options.long is not None and len(set(labels)) < 2:
        problems.append("--long needs two --labels or more")
    if problems:
        parser.error("; ".join(problems))
    try:
        _write(options, labels)
    except OSError as error:
        parser.error(str(error))


def _write(options: argparse.Namespace, labels: list[str]) -> None:
    if options.folder is not None:
        paths = write_videos(
            options.folder, labels=labels, per_class=options.per_class, seed=options.seed
        )
        print(f"{len(paths)} videos of {', '.join(labels)} are in {options.folder}.")
    if options.long is not None:
        print(f"{options.long}:")
        for passage in write_long_video(options.long, labels=labels, seed=options.seed):
            print(f"  {passage.start:4.0f} to {passage.end:2.0f} s  {passage.label}")


if __name__ == "__main__":
    main()
