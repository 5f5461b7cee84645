"""Displacements of a clip's pixels, the same in every frame.

About the picture's centre, bilinear; what comes from outside of the picture is filled with mid grey
(128), as in AutoAugment and timm. Every function takes and returns uint8 [T, height, width, 3].
"""

from __future__ import annotations

import math

import cv2
import numpy as np

__all__ = ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"]

_FILL = (128, 128, 128)


def shear_x(clip: np.ndarray, factor: float) -> np.ndarray:
    """Moves each row to the right by ``factor`` times how far below the centre it is."""
    return _warp(clip, [[1, -factor], [0, 1]])


def shear_y(clip: np.ndarray, factor: float) -> np.ndarray:
    """Moves each column down by ``factor`` times how far right of the centre it is."""
    return _warp(clip, [[1, 0], [-factor, 1]])


def translate_x(clip: np.ndarray, share: float) -> np.ndarray:
    """Moves pictures to the right by a share of their width."""
    return _warp(clip, np.eye(2), (share * clip.shape[2], 0))


def translate_y(clip: np.ndarray, share: float) -> np.ndarray:
    """Moves pictures down by a share of their height."""
    return _warp(clip, np.eye(2), (0, share * clip.shape[1]))


def rotate(clip: np.ndarray, degrees: float) -> np.ndarray:
    """Turns pictures counter-clockwise."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return _warp(clip, [[cosine, -sine], [sine, cosine]])


def _warp(clip: np.ndarray, turn: np.ndarray, move: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Takes the pixel at p, (x, y) from the centre, from ``turn`` · (p - move)."""
    height, width = clip.shape[1:3]
    turn = np.asarray(turn, float)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre - turn @ (centre + move)
    matrix = np.column_stack([turn, offset])
    moved = np.empty_like(clip, order="C")
    for source, target in zip(np.ascontiguousarray(clip), moved, strict=True):
        cv2.warpAffine(
            source,
            matrix,
            (width, height),
            dst=target,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=_FILL,
        )
    return moved
