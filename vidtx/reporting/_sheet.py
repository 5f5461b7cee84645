"""The contact sheet: clips as rows of frames."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidtx.reporting._files import replacing

# All lengths in pixels. Frames are shown with their longer side between these two.
_SMALLEST_SIDE = 128
_LARGEST_SIDE = 256
_GAP = 4
_MARGIN = 16
_HEADER = 22
_CAPTION_WIDTHS = (60, 240)
_LINE = 18

_PAPER = (255, 255, 255)
_INK = (32, 33, 36)
_FAINT = (110, 114, 120)


def contact_sheet(
    clips: np.ndarray | Sequence[np.ndarray],
    captions: Sequence[str],
    path: str | os.PathLike[str],
    *,
    max_frames: int = 8,
) -> Path:
    """Draws one row a clip: its caption, then its frames in order, their numbers on top.

    Small frames are enlarged by a whole factor with nearest neighbour, so every pixel that the
    model gets can be seen; only frames above 256 pixels are shrunk.

    Args:
      clips: uint8 [B, T, height, width, 3], or B arrays [T, height, width, 3] that may differ in
        every length.
      captions: One a clip: the label name, then lines in small print such as the record number.
        Long lines are wrapped.
      path: The picture to write; its suffix chooses the format (PNG keeps colours exact).
      max_frames: Of longer clips, this many frames are shown, evenly spaced from first to last.

    Returns:
      `path`.

    Raises:
      ValueError: If there is no clip, a clip is not uint8 [T, height, width, 3] or empty, the
        captions are not as many, or `max_frames` is below 1.
    """
    if len(clips) != len(captions) or not len(clips):
        raise ValueError(
            f"A contact sheet needs clips and one caption for each, got {len(clips)} clips and "
            f"{len(captions)} captions."
        )
    if max_frames < 1:
        raise ValueError(f"{max_frames=} must be 1 or more.")
    rows = [_frames(np.asarray(clip), number, max_frames) for number, clip in enumerate(clips)]
    font, small = _font(14), _font(12)

    width_limit = _CAPTION_WIDTHS[1]
    wrapped = [_wrap(str(caption), font, width_limit) for caption in captions]
    longest = max((font.getlength(line) for lines in wrapped for line, _ in lines), default=0)
    left = _MARGIN + max(_CAPTION_WIDTHS[0], min(width_limit, round(longest))) + _MARGIN
    width = left + max(len(frames) * (frames[0][1].width + _GAP) for frames in rows) - _GAP

    # Row by row: the top edge, and whether frame numbers (the same as above otherwise) precede it.
    tops, headed, y = [], [], _MARGIN
    for i, (frames, lines) in enumerate(zip(rows, wrapped, strict=True)):
        headed.append(i == 0 or _columns(frames) != _columns(rows[i - 1]))
        y += _HEADER * headed[-1]
        tops.append(y)
        y += max(frames[0][1].height, len(lines) * _LINE) + _GAP

    sheet = Image.new("RGB", (width + _MARGIN, y - _GAP + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for frames, lines, top, header in zip(rows, wrapped, tops, headed, strict=True):
        height = frames[0][1].height
        text_top = top + max(0, height - len(lines) * _LINE) // 2
        for i, (line, main) in enumerate(lines):
            style = {"font": font, "fill": _INK} if main else {"font": small, "fill": _FAINT}
            draw.text((_MARGIN, text_top + i * _LINE), line, **style)
        if header:
            place = (left - _MARGIN, top - 6)
            draw.text(place, "frame", font=small, fill=_FAINT, anchor="rs")
        for column, (number, frame) in enumerate(frames):
            x = left + column * (frame.width + _GAP)
            if header:
                place = (x + frame.width // 2, top - 6)
                draw.text(place, str(number), font=small, fill=_FAINT, anchor="ms")
            sheet.paste(frame, (x, top))
    with replacing(path) as temporary:
        sheet.save(temporary)
    return Path(path)


def _frames(clip: np.ndarray, number: int, max_frames: int) -> list[tuple[int, Image.Image]]:
    """Picks the frames to show: (frame number, picture at its size on the sheet)."""
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or not clip.size:
        raise ValueError(
            f"Clip {number} is {clip.dtype} {list(clip.shape)}; a contact sheet takes frames as "
            "they leave the data pipeline, uint8 [T, height, width, 3], none of them empty."
        )
    T, height, width, _ = clip.shape
    shown = np.linspace(0, T - 1, min(T, max_frames)).round().astype(int)
    longer = max(height, width)
    if longer > _LARGEST_SIDE:
        size = [max(1, round(side * _LARGEST_SIDE / longer)) for side in (width, height)]
        resample = Image.Resampling.LANCZOS
    else:
        factor = -(-_SMALLEST_SIDE // longer)
        size, resample = [width * factor, height * factor], Image.Resampling.NEAREST
    return [(int(i), Image.fromarray(clip[i]).resize(size, resample)) for i in shown]


def _columns(frames: list[tuple[int, Image.Image]]) -> tuple[int, list[int]]:
    """What has to agree for two rows to share one line of frame numbers."""
    return frames[0][1].width, [number for number, _ in frames]


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[tuple[str, bool]]:
    """Breaks a caption into lines; True for those of its first line, the label name."""
    lines = []
    for number, line in enumerate(text.splitlines()):
        current = ""
        for word in line.split():
            joined = f"{current} {word}".lstrip()
            if not current or font.getlength(joined) <= width:
                current = joined
            else:
                lines.append((current, number == 0))
                current = word
        lines.append((current, number == 0))
    return [(_shorten(line, font, width), main) for line, main in lines]


def _shorten(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Cuts the middle out of a line that is too long: file names differ at their ends."""
    half = len(line) // 2
    short = line
    while font.getlength(short) > width and half > 1:
        half -= 1
        short = f"{line[:half]}…{line[-half:]}"
    return short


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Comes with matplotlib on every platform, and has more scripts than Pillow's own.
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size
    )
