"""Changes of a clip's colours, the same in every frame.

Whatever an operation measures (extremes, mean, histogram) it measures over the whole clip and not
frame by frame, as image augmentations applied to frames do: one table of 256 values serves all
frames, so nothing flickers. Results are rounded to the nearest value and kept within 0 … 255.

Every function takes and returns uint8 [T, height, width, 3], RGB.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = [
    "auto_contrast",
    "brightness",
    "contrast",
    "equalize",
    "posterize",
    "saturation",
    "sharpness",
    "solarize",
]

_VALUES = np.arange(256)

# Of red, green and blue in grey (ITU-R BT.601), as PIL and torchvision take it.
_GREY = np.array([0.299, 0.587, 0.114])


def brightness(clip: np.ndarray, factor: float) -> np.ndarray:
    """Multiplies all values: 0 is black, 1 changes nothing."""
    return _look_up(clip, factor * _VALUES)


def contrast(clip: np.ndarray, factor: float) -> np.ndarray:
    """Moves values away from the clip's mean grey, or to it: 0 is grey, 1 changes nothing."""
    grey = _GREY @ cv2.mean(_one_picture(clip))[:3]
    return _look_up(clip, factor * _VALUES + (1 - factor) * grey)


def saturation(clip: np.ndarray, factor: float) -> np.ndarray:
    """Moves colours away from their grey, or to it: 0 is grey, 1 changes nothing."""
    matrix = factor * np.eye(3) + (1 - factor) * _GREY  # each row: one channel of the result
    return cv2.transform(_one_picture(clip), matrix.astype(np.float32)).reshape(clip.shape)


def sharpness(clip: np.ndarray, factor: float) -> np.ndarray:
    """Moves pixels away from their neighbourhood's mean, or to it: 1 changes nothing.

    The mean has weight 5 on the pixel itself and 1 on each of its eight neighbours, as PIL's. The
    outermost pixels, which lack neighbours, stay as they are.
    """
    kernel = np.full((3, 3), (1 - factor) / 13, np.float32)
    kernel[1, 1] = factor + (1 - factor) * 5 / 13
    changed = clip.copy()
    for source, target in zip(clip, changed, strict=True):
        target[1:-1, 1:-1] = cv2.filter2D(source, -1, kernel)[1:-1, 1:-1]
    return changed


def posterize(clip: np.ndarray, bits: int) -> np.ndarray:
    """Keeps the ``bits`` highest bits of every value, 0 to 8."""
    return _look_up(clip, _VALUES & (256 - (1 << (8 - bits))))


def solarize(clip: np.ndarray, threshold: float) -> np.ndarray:
    """Inverts the values from ``threshold`` on: 256 changes nothing, 0 inverts all."""
    return _look_up(clip, np.where(threshold > _VALUES, _VALUES, 255 - _VALUES))


def auto_contrast(clip: np.ndarray) -> np.ndarray:
    """Stretches each channel, for its lowest value to become 0 and its highest 255."""
    tables = []
    for counts in _histograms(clip):
        held = np.flatnonzero(counts)
        low, high = held[0], held[-1]
        tables.append((_VALUES - low) * (255 / (high - low)) if high > low else _VALUES)
    return _look_up(clip, np.stack(tables, 1))


def equalize(clip: np.ndarray) -> np.ndarray:
    """Spreads each channel's values, for all to be about equally frequent; rounded as PIL does."""
    tables = []
    for counts in _histograms(clip):
        held = np.flatnonzero(counts)
        step = (counts.sum() - counts[held[-1]]) // 255
        below = np.concatenate([[0], np.cumsum(counts)[:-1]])
        tables.append((below + step // 2) // step if step else _VALUES)
    return _look_up(clip, np.stack(tables, 1))


def _one_picture(clip: np.ndarray) -> np.ndarray:
    """Returns the frames as one tall picture, which OpenCV treats in one go."""
    return np.ascontiguousarray(clip).reshape(-1, *clip.shape[2:])


def _look_up(clip: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replaces values by a table's, [256] or by channel [256, 3]."""
    table = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    return cv2.LUT(_one_picture(clip), table.reshape(256, 1, -1)).reshape(clip.shape)


def _histograms(clip: np.ndarray) -> list[np.ndarray]:
    """Returns how often each value occurs, int64 [256], for each channel."""
    picture = [_one_picture(clip)]
    counts = [cv2.calcHist(picture, [c], None, [256], [0, 256]) for c in range(3)]
    return [count.ravel().astype(np.int64) for count in counts]
