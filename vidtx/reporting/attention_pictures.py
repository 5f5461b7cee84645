"""A clip and what a model looks at in it: a contact sheet, and the pictures of a film.

All lengths are in pixels.
"""

import dataclasses
import math
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vidtx.reporting._drawing import (
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
from vidtx.reporting.overlay import colours, enlarge, overlay

__all__ = ["Film", "LookedAt", "attention_film", "attention_sheet"]

_BLUE, _VERMILION = (0, 114, 178), (213, 94, 0)  # Okabe and Ito's
_COLUMNS = 8
_LARGEST = 224  # longer side of a frame on the sheet
_NARROWEST = 520  # a sheet, so that its heading can be read
_LABELS = 64  # left of the rows
_TIMES, _BAR, _SHARES = 20, 8, 18

# The film is dark, so that the pictures are the brightest there is.
_NIGHT, _DIM, _BRIGHT = (24, 26, 29), (104, 109, 116), (226, 228, 231)
_SMALLEST = 224
_BETWEEN, _TEXT, _BARS = 8, 22, 30
_SHORTEST, _LONGEST = 1.0, 30.0  # seconds that a film lasts
_RATES = (12, 60)  # pictures a second


@dataclasses.dataclass(frozen=True, eq=False)
class LookedAt:
    """A clip with its maps.

    Attributes:
      frames: uint8 ``[T, height, width, 3]``, RGB, as the model was fed.
      maps: float32 ``[T, H, W]``.
      frame_weights: ``[T]``, each frame's share of the maps, with sum 1.
      numbers: ``[T]``, of the frames in their video.
      seconds: ``[T]``, of the frames from the beginning of their video.
      query: (frame, row, column) of the patch that looks; None for the class token.
      normalise: what the brightest colour means, as of `vidtx.reporting.overlay.overlay`.
    """

    frames: np.ndarray
    maps: np.ndarray
    frame_weights: np.ndarray
    numbers: np.ndarray
    seconds: np.ndarray
    query: tuple[int, int, int] | None = None
    normalise: str = "clip"

    def overlay(self, smallest: int) -> np.ndarray:
        """Frames with their maps, as of `vidtx.reporting.overlay.overlay`."""
        return overlay(
            self.frames,
            self.maps,
            normalise=self.normalise,
            smallest=smallest,
            query=self.query,
        )

    @property
    def contrast(self) -> tuple[float, float]:
        """The lowest and the highest weight of a patch, in even shares."""
        even = float(self.maps.mean())
        if even <= 0:
            return 1.0, 1.0
        return float(self.maps.min()) / even, float(self.maps.max()) / even


def attention_sheet(
    clip: LookedAt, path: str | os.PathLike[str], *, title: str, max_frames: int = 32
) -> Path:
    """Draws the frames in rows of eight, each with its time, its map and its weight.

    Args:
      clip: what is drawn.
      path: the picture to write; its suffix chooses the format.
      title: what it shows, then lines in small print.
      max_frames: of longer clips, so many frames are shown, evenly spaced from first to last.

    Returns:
      ``path``.
    """
    shown = shown_frames(len(clip.frames), max_frames)
    pictures = [at_sheet_size(clip.frames[number], _LARGEST) for number in shown]
    laid = clip.overlay(smallest=128)
    maps = [Image.fromarray(laid[number]).resize(pictures[0].size) for number in shown]
    wide, high = pictures[0].size
    column = max(wide, 96)  # a time must fit below
    columns = min(_COLUMNS, len(shown))
    width = max(_LABELS + columns * (column + GAP) - GAP, _NARROWEST)

    if len(shown) < len(clip.frames):
        title += f"\n{len(shown)} of {len(clip.frames)} frames are shown"
    lines = wrap(title, font(16), width, font(12))
    head = len(lines) * (LINE + 2) + 30
    block = _TIMES + 2 * (high + GAP) + _BAR + _SHARES + MARGIN
    blocks = math.ceil(len(shown) / columns)
    size = (width + 2 * MARGIN, head + blocks * block + MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (text, first) in enumerate(lines):
        style = {"font": font(16), "fill": INK} if first else {"font": font(12), "fill": FAINT}
        draw.text((MARGIN, MARGIN + number * (LINE + 2)), text, **style)
    _legend(sheet, draw, MARGIN + len(lines) * (LINE + 2) + 4, clip)

    most = max(float(clip.frame_weights.max()), 1e-12)
    for place, number in enumerate(shown):
        row, at = divmod(place, columns)
        top = head + row * block + MARGIN
        x = MARGIN + _LABELS + at * (column + GAP)
        if at == 0:
            for text, y in (
                ("fed", top + _TIMES + high // 2),
                ("looked at", top + _TIMES + high + GAP + high // 2),
                ("share", top + _TIMES + 2 * (high + GAP) + _BAR),
            ):
                draw.text((MARGIN, y), text, font=font(12), fill=FAINT, anchor="lm")
        label = f"{clip.seconds[number]:.2f} s"
        draw.text((x + column // 2, top + 14), label, font=font(12), fill=FAINT, anchor="ms")
        left = x + (column - wide) // 2
        sheet.paste(pictures[place], (left, top + _TIMES))
        sheet.paste(maps[place], (left, top + _TIMES + high + GAP))
        y = top + _TIMES + 2 * (high + GAP)
        share = float(clip.frame_weights[number])
        draw.rectangle((left, y, left + wide - 1, y + _BAR - 1), fill=(236, 238, 240))
        if share > 0:
            end = left + max(1, round(wide * share / most)) - 1
            draw.rectangle((left, y, end, y + _BAR - 1), fill=_BLUE)
        text = f"{share:.1%}".replace("%", " %")
        place_of_text = (x + column // 2, y + _BAR + 13)
        draw.text(place_of_text, text, font=font(12), fill=INK, anchor="ms")
    with replacing(path) as temporary:
        sheet.save(temporary)
    return as_path(path)


def _legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, y: int, clip: LookedAt) -> None:
    """The colours, with what the darkest and the brightest mean."""
    lowest, highest = clip.contrast
    if clip.normalise == "frame":
        ends = "least looked at", "most looked at of each frame"
    else:
        ends = f"{_times(lowest)}×", f"{_times(highest)}× an even share, over the whole clip"
    bar = colours(np.broadcast_to(np.linspace(0, 1, 120), (10, 120)))
    x = MARGIN + round(font(12).getlength(ends[0])) + 6
    draw.text((MARGIN, y + 10), ends[0], font=font(12), fill=FAINT, anchor="ls")
    sheet.paste(Image.fromarray(bar), (x, y))
    draw.text((x + 126, y + 10), ends[1], font=font(12), fill=FAINT, anchor="ls")


def _times(value: float) -> str:
    return "0" if value < 0.005 else f"{value:.2g}" if value < 99.5 else f"{value:.0f}"


@dataclasses.dataclass(frozen=True, eq=False)
class Film:
    """Pictures of a film, each shown for a while.

    Attributes:
      pictures: uint8 ``[T, height, width, 3]``, RGB, sides even.
      order: int ``[N]``, which picture is shown at each moment.
      rate: moments a second.
    """

    pictures: np.ndarray
    order: np.ndarray
    rate: int


def attention_film(clip: LookedAt) -> Film:
    """The clip beside itself with its maps, and below the weights of all frames.

    It lasts as long as the clip does in its video, each frame held until the next one's time. What
    takes less than a second or more than 30 is played slower or faster by a whole factor, and
    says so.

    Args:
      clip: what is drawn.

    Returns:
      The film.
    """
    lasts, pace = _durations(clip.seconds)
    ends = np.cumsum(lasts)
    lowest, highest = _RATES
    rate = int(np.clip(math.ceil(1 / lasts.min()), lowest, highest))
    ticks = np.arange(max(len(lasts), round(ends[-1] * rate)))
    order = np.minimum(np.searchsorted(ends, (ticks + 0.5) / rate), len(lasts) - 1)
    left, right = enlarge(clip.frames, _SMALLEST), clip.overlay(smallest=_SMALLEST)
    pictures = [
        _picture(left[number], right[number], clip, number, pace) for number in range(len(left))
    ]
    return Film(np.stack(pictures), order, rate)


def _durations(seconds: np.ndarray) -> tuple[np.ndarray, str]:
    """Seconds that each frame is shown, and what to say of the pace."""
    gaps = np.diff(np.asarray(seconds, np.float64))
    forward = gaps[gaps > 0]  # a short video is repeated, or its last frame is
    usual = float(np.median(forward)) if len(forward) else 1.0
    lasts = np.append(np.where(gaps > 0, gaps, usual), usual)
    total = lasts.sum()
    if total < _SHORTEST:
        factor = math.ceil(_SHORTEST / total)
        return lasts * factor, f"{factor}× slower"
    if total > _LONGEST:
        factor = math.ceil(total / _LONGEST)
        return lasts / factor, f"{factor}× faster"
    return lasts, ""


def _picture(
    left: np.ndarray, right: np.ndarray, clip: LookedAt, number: int, pace: str
) -> np.ndarray:
    """One picture of the film, uint8 ``[height, width, 3]``."""
    high, wide, _ = left.shape
    width, height = 2 * wide + _BETWEEN, high + _TEXT + _BARS + 4
    picture = Image.new("RGB", (width + width % 2, height + height % 2), _NIGHT)
    picture.paste(Image.fromarray(left), (0, 0))
    picture.paste(Image.fromarray(right), (wide + _BETWEEN, 0))
    draw = ImageDraw.Draw(picture)
    share = f"{clip.frame_weights[number]:.1%}".replace("%", " %")
    said = (
        f"{clip.seconds[number]:.2f} s",
        f"frame {clip.numbers[number]}",
        f"{share} of the attention",
    )
    _write(draw, said, pace, high, width)

    bottom = height - 4
    each = width / len(clip.frame_weights)
    most = max(float(clip.frame_weights.max()), 1e-12)
    for at, weight in enumerate(clip.frame_weights):
        tall = max(1, round(_BARS * float(weight) / most))
        gap = 1 if each >= 4 else 0
        box = (round(at * each), bottom - tall, max(round((at + 1) * each) - 1 - gap, 0), bottom)
        draw.rectangle(box, fill=_VERMILION if at == number else _DIM)
    return np.asarray(picture)


def _write(draw: ImageDraw.ImageDraw, said: Sequence[str], pace: str, top: int, width: int) -> None:
    """One line below the pictures: as much of it as there is room for."""
    letters = font(12)
    end = width - 4
    if pace:
        draw.text((end, top + 15), pace, font=letters, fill=_DIM, anchor="rs")
        end -= round(letters.getlength(pace)) + 12
    for count in range(len(said), 0, -1):
        text = "  ·  ".join(said[:count])
        if letters.getlength(text) <= end - 4:
            draw.text((4, top + 15), text, font=letters, fill=_BRIGHT, anchor="ls")
            return
