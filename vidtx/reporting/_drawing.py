"""What sheets of pictures share: paper, lettering, and the size that a frame is shown in.

All lengths are in pixels.
"""

import functools
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageFont

GAP = 4
MARGIN = 16
LINE = 18
CAPTION_WIDTHS = (60, 240)

PAPER = (255, 255, 255)
INK = (32, 33, 36)
FAINT = (110, 114, 120)

# Frames are shown with their longer side between these two.
SMALLEST_SIDE = 128
LARGEST_SIDE = 256


def shown_frames(length: int, max_frames: int) -> np.ndarray:
    """Numbers of the frames of a clip to show, evenly spaced from first to last."""
    return np.linspace(0, length - 1, min(length, max_frames)).round().astype(int)


def at_sheet_size(frame: np.ndarray, largest: int = LARGEST_SIDE) -> Image.Image:
    """A frame as large as it is shown.

    Small ones are enlarged by a whole factor with nearest neighbour, so that every pixel can be
    seen; only those whose longer side is above ``largest`` are shrunk.

    Args:
      frame: uint8 ``[height, width, 3]``.
      largest: of the longer side.
    """
    height, width, _ = frame.shape
    longer = max(height, width)
    if longer > largest:
        size = [max(1, round(side * largest / longer)) for side in (width, height)]
        resample = Image.Resampling.LANCZOS
    else:
        factor = -(-SMALLEST_SIDE // longer)
        size, resample = [width * factor, height * factor], Image.Resampling.NEAREST
    return Image.fromarray(frame).resize(size, resample)


def wrap(
    text: str,
    letters: ImageFont.FreeTypeFont,
    width: int,
    small: ImageFont.FreeTypeFont | None = None,
) -> list[tuple[str, bool]]:
    """Breaks a caption into lines; True for those of its first line, the label name.

    Args:
      text: the caption.
      letters: of its first line.
      width: that no line exceeds.
      small: letters of its other lines; as the first by default.
    """
    lines = []
    for number, line in enumerate(text.splitlines()):
        used = small if small and number else letters
        pieces, current = [], ""
        for word in line.split():
            joined = f"{current} {word}".lstrip()
            if not current or used.getlength(joined) <= width:
                current = joined
            else:
                pieces.append(current)
                current = word
        lines += [(_shorten(piece, used, width), number == 0) for piece in [*pieces, current]]
    return lines


def _shorten(line: str, letters: ImageFont.FreeTypeFont, width: int) -> str:
    """Cuts the middle out of a line that is too long: file names differ at their ends."""
    half = len(line) // 2
    short = line
    while letters.getlength(short) > width and half > 1:
        half -= 1
        short = f"{line[:half]}…{line[-half:]}"
    return short


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Letters of so many pixels."""
    # Comes with matplotlib on every platform, and has more scripts than Pillow's own.
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size
    )
