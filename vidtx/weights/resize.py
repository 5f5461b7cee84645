"""Position and time embeddings on grids of another size.

``nearest`` is what the model itself does when it is fed clips of another size, so that a model
made for that size computes what the original computes on it. ``bilinear`` and ``bicubic`` have
half-pixel centres, repeat the border, and do not smooth before they shrink (no antialias); the
cubic is that of PyTorch and OpenCV, a = -0.75. ``nearest_1d`` is the authors' loader: nearest over
the patches in one row, as if they were no grid. From 196 to 784 it puts only 56 where a grid would
have them; the released high-resolution models began with that.
"""

import numpy as np

from vidtx.models.embedding import nearest_indices

__all__ = ["RESIZES", "resize_position", "resize_time"]

# As `train.init_resize` takes them.
RESIZES = ("nearest", "bilinear", "bicubic", "nearest_1d")

_CUBIC = -0.75


def resize_position(
    table: np.ndarray, source: tuple[int, int], target: tuple[int, int], how: str = "nearest"
) -> np.ndarray:
    """A position embedding on another grid of patches; the row of the class token stays.

    Args:
      table: ``[1, 1 + H₀·W₀, D]``, patches row by row.
      source: ``(H₀, W₀)``.
      target: ``(H, W)``.
      how: one of ``RESIZES``.

    Returns:
      ``[1, 1 + H·W, D]`` of the same type.

    Raises:
      ValueError: there is no such way, or the table is not of that grid.
    """
    if how not in RESIZES:
        raise ValueError(f"resize is {how!r}; it must be one of {', '.join(RESIZES)}.")
    rows, columns = source
    table = np.asarray(table)
    if table.shape[1] != 1 + rows * columns:
        raise ValueError(
            f"the position embedding has {table.shape[1] - 1} patches, which are no grid of "
            f"{rows}×{columns}."
        )
    patches = table[0, 1:]
    if how == "nearest_1d":
        patches = patches[nearest_indices(rows * columns, target[0] * target[1])]
    else:
        grid = patches.reshape(rows, columns, -1)
        if how == "nearest":
            grid = grid[nearest_indices(rows, target[0])][:, nearest_indices(columns, target[1])]
        else:
            shares = (_shares(*lengths, how) for lengths in zip(source, target, strict=True))
            grid = np.einsum("rh,cw,hwd->rcd", *shares, grid.astype(np.float64), optimize=True)
        patches = grid.reshape(target[0] * target[1], -1).astype(table.dtype)
    return np.concatenate([table[:, :1], patches[None]], axis=1)


def resize_time(table: np.ndarray, frames: int) -> np.ndarray:
    """A time embedding ``[1, T₀, D]`` for another number of frames, ``[1, T, D]``: the nearest."""
    table = np.asarray(table)
    return table[:, nearest_indices(table.shape[1], frames)]


def _shares(source: int, target: int, how: str) -> np.ndarray:
    """How much of each of ``source`` places goes into each of ``target``: ``[target, source]``."""
    centres = (np.arange(target) + 0.5) * (source / target) - 0.5
    floor = np.floor(centres).astype(int)
    shares = np.zeros((target, source))
    for tap in range(-1, 3):
        share = _kernel(np.abs(centres - (floor + tap)), how)
        np.add.at(shares, (np.arange(target), np.clip(floor + tap, 0, source - 1)), share)
    return shares


def _kernel(distance: np.ndarray, how: str) -> np.ndarray:
    """The share of a place at a distance, in places: of two neighbours, or (Keys 1981) of four."""
    if how == "bilinear":
        return np.maximum(1.0 - distance, 0.0)
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
