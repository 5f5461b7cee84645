"""The contact sheet: clips as rows of frames."""

import os
from collections.abc import Sequence

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

_HEADER = 22  # pixels: the line of frame numbers


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
    large, small = font(14), font(12)

    width_limit = CAPTION_WIDTHS[1]
    wrapped = [wrap(str(caption), large, width_limit) for caption in captions]
    longest = max((large.getlength(line) for lines in wrapped for line, _ in lines), default=0)
    left = MARGIN + max(CAPTION_WIDTHS[0], min(width_limit, round(longest))) + MARGIN
    width = left + max(len(frames) * (frames[0][1].width + GAP) for frames in rows) - GAP

    # Row by row: the top edge, and whether frame numbers (the same as above otherwise) precede it.
    tops, headed, y = [], [], MARGIN
    for i, (frames, lines) in enumerate(zip(rows, wrapped, strict=True)):
        headed.append(i == 0 or _columns(frames) != _columns(rows[i - 1]))
        y += _HEADER * headed[-1]
        tops.append(y)
        y += max(frames[0][1].height, len(lines) * LINE) + GAP

    sheet = Image.new("RGB", (width + MARGIN, y - GAP + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for frames, lines, top, header in zip(rows, wrapped, tops, headed, strict=True):
        height = frames[0][1].height
        text_top = top + max(0, height - len(lines) * LINE) // 2
        for i, (line, main) in enumerate(lines):
            style = {"font": large, "fill": INK} if main else {"font": small, "fill": FAINT}
            draw.text((MARGIN, text_top + i * LINE), line, **style)
        if header:
            place = (left - MARGIN, top - 6)
            draw.text(place, "frame", font=small, fill=FAINT, anchor="rs")
        for column, (number, frame) in enumerate(frames):
            x = left + column * (frame.width + GAP)
            if header:
                place = (x + frame.width // 2, top - 6)
                draw.text(place, str(number), font=small, fill=FAINT, anchor="ms")
            sheet.paste(frame, (x, top))
    with replacing(path) as temporary:
        sheet.save(temporary)
    return as_path(path)


def _frames(clip: np.ndarray, number: int, max_frames: int) -> list[tuple[int, Image.Image]]:
    """Picks the frames to show: (frame number, picture at its size on the sheet)."""
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or not clip.size:
        raise ValueError(
            f"Clip {number} is {clip.dtype} {list(clip.shape)}; a contact sheet takes frames as "
            "they leave the data pipeline, uint8 [T, height, width, 3], none of them empty."
        )
    numbers = shown_frames(len(clip), max_frames)
    return [(int(number), at_sheet_size(clip[number])) for number in numbers]


def _columns(frames: list[tuple[int, Image.Image]]) -> tuple[int, list[int]]:
    """What has to agree for two rows to share one line of frame numbers."""
    return frames[0][1].width, [number for number, _ in frames]
