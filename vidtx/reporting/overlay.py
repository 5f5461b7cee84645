"""Maps of attention over the frames that they are of."""

import cv2
import numpy as np

__all__ = ["NORMALISATIONS", "colours", "normalised", "overlay"]

# What the brightest colour means: the highest weight of the clip, or of each frame.
NORMALISATIONS = ("clip", "frame")

# Inferno rises evenly in lightness, for readers of all kinds of sight and on paper: what is looked
# at is lit up, what is not lies in the dark.
_LEVELS = np.arange(256, dtype=np.uint8)[:, None]
_MAP = cv2.applyColorMap(_LEVELS, cv2.COLORMAP_INFERNO)[:, 0, ::-1]


def colours(values: np.ndarray) -> np.ndarray:
    """The colours of values in [0, 1], uint8 ``[..., 3]``, RGB."""
    return _MAP[np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)]


def normalised(maps: np.ndarray, *, normalise: str = "clip") -> np.ndarray:
    """Maps stretched to [0, 1], 0 being the lowest weight and 1 the highest; all 0 if all is even.

    Args:
      maps: ``[T, H, W]``.
      normalise: over the ``clip``, so that frames can be compared, or over each ``frame``.

    Returns:
      float32 ``[T, H, W]``.
    """
    if normalise not in NORMALISATIONS:
        raise ValueError(f"normalise is {normalise!r}; it must be one of {NORMALISATIONS}.")
    axes = (0, 1, 2) if normalise == "clip" else (1, 2)
    maps = np.asarray(maps, np.float64)
    lowest, highest = maps.min(axis=axes, keepdims=True), maps.max(axis=axes, keepdims=True)
    # What differs by rounding alone is even.
    uneven = highest - lowest > 1e-6 * np.abs(highest)
    return np.where(uneven, (maps - lowest) / np.where(uneven, highest - lowest, 1), 0).astype(
        np.float32
    )


def overlay(
    frames: np.ndarray,
    maps: np.ndarray,
    *,
    normalise: str = "clip",
    opacity: float = 0.5,
    smallest: int = 256,
    query: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """Lays maps over frames: lit up is what is looked at, and all colour is the map's.

    Args:
      frames: uint8 ``[T, height, width, 3]``, RGB, as the model was fed.
      maps: ``[T, H, W]``, patch rows and columns; any scale.
      normalise: over the ``clip`` or over each ``frame``, as of `normalised`.
      opacity: of the colours over the frames, which are grey, in [0, 1].
      smallest: frames whose longer side is below are enlarged by the whole factor that brings it
        there, every pixel a square; maps are enlarged smoothly.
      query: (frame, row, column) of a patch to frame in white; None for none.

    Returns:
      uint8 ``[T, height', width', 3]``, RGB.

    Raises:
      ValueError: the arrays do not belong together, or an option is out of bounds.
    """
    frames, maps = np.asarray(frames), np.asarray(maps)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise ValueError(
            f"frames are {frames.dtype} {list(frames.shape)}; they must be uint8 "
            "[T, height, width, 3], not empty."
        )
    if maps.ndim != 3 or len(maps) != len(frames) or not maps.size:
        raise ValueError(
            f"maps are {list(maps.shape)}; of {len(frames)} frames they must be "
            f"[{len(frames)}, rows, columns]."
        )
    if not np.all(np.isfinite(maps)):
        raise ValueError("maps must be finite.")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}; it must lie in [0, 1].")
    values = normalised(maps, normalise=normalise)
    enlarged = enlarge(frames, smallest)
    height, width = enlarged.shape[1:3]
    laid = np.empty_like(enlarged)
    for frame, value, out in zip(enlarged, values, laid, strict=True):
        smooth = cv2.resize(value, (width, height), interpolation=cv2.INTER_CUBIC)
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
        mixed = (1 - opacity) * grey + opacity * colours(smooth).astype(np.float32)
        out[:] = np.round(mixed).astype(np.uint8)
    if query is not None:
        frame, row, column = query
        rows, columns = maps.shape[1:]
        top, bottom = (round(at * height / rows) for at in (row, row + 1))
        left, right = (round(at * width / columns) for at in (column, column + 1))
        box = (left, top), (right - 1, bottom - 1)
        cv2.rectangle(laid[frame], *box, color=(0, 0, 0), thickness=3)
        cv2.rectangle(laid[frame], *box, color=(255, 255, 255), thickness=1)
    return laid


def enlarge(frames: np.ndarray, smallest: int) -> np.ndarray:
    """Frames ``[T, height, width, 3]`` whose longer side is ``smallest`` pixels or more.

    Small ones are enlarged by a whole factor, every pixel a square; others are left as they are.
    """
    factor = max(1, -(-smallest // max(frames.shape[1:3])))
    return frames.repeat(factor, axis=1).repeat(factor, axis=2)
