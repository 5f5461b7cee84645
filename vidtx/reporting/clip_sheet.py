"""The sheet of clips beside their videos: what was cut out of each frame, and what became of it."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from vidtx.reporting._drawing import (
    CAPTION_WIDTHS,
    FAINT,
    GAP,
    INK,
    LINE,
    MARGIN,
    PAPER,
    at_sheet_size,
    font,
    shown_frames,
    wrap,
)
from vidtx.reporting.files import Path, as_path, replacing

__all__ = ["WINDOW_COLOURS", "ShownClip", "clip_sheet"]

# Okabe and Ito's vermilion, blue and green: of the first, second, third window of a frame.
WINDOW_COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115))

# All lengths in pixels.
_LARGEST = 224  # longer side of a frame on the sheet
_TIMES = 20  # the line below a row of frames
_BETWEEN = 28  # clips
_BAR = 4  # beside a fed row, in the colour of its window


@dataclasses.dataclass(frozen=True)
class ShownClip:
    """One clip of a video, and what the model is fed of it.

    Attributes:
      caption: The label name, then lines in small print.
      video: The video's own frames, uint8 [T, height, width, 3].
      numbers: Of these frames in the video, T.
      seconds: Of these frames from the video's beginning, T.
      windows: (top, left, height, width) in the video's pixels of what is cut out of every frame;
        V of them.
      fed: What becomes of each, uint8 [V, T, height, width, 3].
      fed_captions: What to say of each, V; may have several lines.
    """

    caption: str
    video: np.ndarray
    numbers: Sequence[int]
    seconds: Sequence[float]
    windows: Sequence[tuple[int, int, int, int]]
    fed: np.ndarray
    fed_captions: Sequence[str]

    def __post_init__(self):
        for name, frames, axes in (("video", self.video, 4), ("fed", self.fed, 5)):
            if frames.dtype != np.uint8 or frames.ndim != axes or not frames.size:
                raise ValueError(
                    f"{name} is {frames.dtype} {list(frames.shape)}; it must be uint8 "
                    f"{'[V, T, ' if axes == 5 else '[T, '}height, width, 3], not empty."
                )
        lengths = {len(self.video), len(self.numbers), len(self.seconds), self.fed.shape[1]}
        views = {len(self.windows), len(self.fed), len(self.fed_captions)}
        if len(lengths) > 1 or len(views) > 1:
            raise ValueError(
                f"a shown clip has so many frames, frame numbers, times and frames that are fed: "
                f"{sorted(lengths)}, and so many windows, clips and captions: {sorted(views)}; "
                "each must be one number."
            )


def clip_sheet(
    clips: Iterable[ShownClip],
    path: str | os.PathLike[str],
    *,
    title: str,
    max_frames: int = 8,
) -> Path:
    """Draws, of each clip, its video's frames with the windows on them, and below what is fed.

    Frames below 128 pixels are enlarged by a whole factor with nearest neighbour, those above 224
    are shrunk. Below each frame of the video is its number and its time in seconds.

    Args:
      clips: One or more; taken one at a time, as their videos may be large.
      path: The picture to write; its suffix chooses the format.
      title: What the sheet shows, then lines in small print.
      max_frames: Of longer clips, so many frames are shown, evenly spaced from first to last.

    Returns:
      `path`.

    Raises:
      ValueError: There is no clip, or `max_frames` is below 1.
    """
    if max_frames < 1:
        raise ValueError(f"{max_frames=} must be 1 or more.")
    blocks = [_draw(clip, max_frames) for clip in clips]
    if not blocks:
        raise ValueError("A sheet needs a clip, and there is none.")
    heading = _heading(title, max(block.width for block in blocks))
    pictures = [heading, *blocks]
    width = max(picture.width for picture in pictures) + 2 * MARGIN
    height = sum(picture.height + _BETWEEN for picture in pictures) - _BETWEEN + 2 * MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    y = MARGIN
    for picture in pictures:
        sheet.paste(picture, (MARGIN, y))
        y += picture.height + _BETWEEN
    with replacing(path) as temporary:
        sheet.save(temporary)
    return as_path(path)


def _heading(title: str, width: int) -> Image.Image:
    lines = wrap(title, font(16), max(width, 400), font(12))
    picture = Image.new("RGB", (max(width, 400), len(lines) * (LINE + 2)), PAPER)
    _write(ImageDraw.Draw(picture), (0, 0), lines, main=16, line=LINE + 2)
    return picture


def _draw(clip: ShownClip, max_frames: int) -> Image.Image:
    """One clip: a row of the video's frames, their times, and a row for each window."""
    shown = shown_frames(len(clip.video), max_frames)
    video = [_framed(clip.video[i], clip.windows) for i in shown]
    rows = [[at_sheet_size(frame, _LARGEST) for frame in fed[shown]] for fed in clip.fed]
    times = _times([(clip.numbers[i], clip.seconds[i]) for i in shown], video, rows)
    column = max(row[0].width for row in (video, *rows))

    left = CAPTION_WIDTHS[1] + MARGIN
    captions = [wrap(clip.caption, font(14), CAPTION_WIDTHS[1], font(12))]
    captions += [wrap(text, font(12), CAPTION_WIDTHS[1] - _BAR - 6) for text in clip.fed_captions]
    heights = [
        max(row[0].height + below, len(lines) * LINE)
        for row, lines, below in zip(
            (video, *rows), captions, itertools.chain([_TIMES], itertools.repeat(0)), strict=False
        )
    ]
    width = left + len(shown) * (column + GAP) - GAP
    picture = Image.new("RGB", (width, sum(heights) + GAP * len(rows)), PAPER)
    draw = ImageDraw.Draw(picture)

    def paste(row: Sequence[Image.Image], y: int) -> None:
        for place, frame in enumerate(row):
            x = left + place * (column + GAP) + (column - frame.width) // 2
            picture.paste(frame, (x, y))

    paste(video, 0)
    _write(draw, (0, 0), captions[0], main=14)
    for place, text in enumerate(times):
        x = left + place * (column + GAP) + column // 2
        at = (x, video[0].height + _TIMES - 6)
        draw.text(at, text, font=font(12), fill=FAINT, anchor="ms")
    y = heights[0] + GAP
    for number, row in enumerate(rows):
        paste(row, y)
        colour = WINDOW_COLOURS[number % len(WINDOW_COLOURS)]
        draw.rectangle((0, y, _BAR - 1, y + row[0].height - 1), fill=colour)
        _write(draw, (_BAR + 6, y), captions[1 + number], main=12)
        y += heights[1 + number] + GAP
    return picture


def _framed(frame: np.ndarray, windows: Sequence[tuple[int, int, int, int]]) -> Image.Image:
    """A frame with its windows drawn on it, and what no window shows made pale."""
    picture = at_sheet_size(frame, _LARGEST)
    scale = (picture.height / frame.shape[0], picture.width / frame.shape[1])
    boxes = []
    for top, left, height, width in windows:
        y, x = round(top * scale[0]), round(left * scale[1])
        bottom, right = round((top + height) * scale[0]), round((left + width) * scale[1])
        boxes.append((x, y, max(x, right - 1), max(y, bottom - 1)))
    pale = Image.blend(picture, Image.new("RGB", picture.size, PAPER), 0.5)
    for box in boxes:
        inside = (box[0], box[1], box[2] + 1, box[3] + 1)
        pale.paste(picture.crop(inside), inside[:2])
    draw = ImageDraw.Draw(pale)
    for number, box in reversed(list(enumerate(boxes))):
        colour = WINDOW_COLOURS[number % len(WINDOW_COLOURS)]
        draw.rectangle(box, outline=colour, width=2)
    return pale


def _times(
    frames: Sequence[tuple[int, float]], video: Sequence[Image.Image], rows: Sequence[Sequence]
) -> list[str]:
    """Number and time of each frame, in as many words as all columns have room for."""
    column = max(row[0].width for row in (video, *rows))
    texts: list[str] = []
    for form in ("frame {}  ·  {:.2f} s", "{} · {:.2f} s", "{:.2f} s"):
        texts = [form.format(*(pair if form.count("{") == 2 else pair[1:])) for pair in frames]
        if max(font(12).getlength(text) for text in texts) <= column:
            break
    return texts


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    lines: Sequence[tuple[str, bool]],
    *,
    main: int,
    line: int = LINE,
) -> None:
    """Writes lines of text, those of the first one large and dark."""
    for number, (text, first) in enumerate(lines):
        style = {"font": font(main), "fill": INK} if first else {"font": font(12), "fill": FAINT}
        draw.text((place[0], place[1] + number * line), text, **style)
