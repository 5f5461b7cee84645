"""Draws the videos of the `motions` data set: one textured sprite moving on a textured background.

What moves, and where, how large, how fast and in which colours, is drawn from the scene's seed and
says nothing about the class. A frame is exposed for several frame intervals, centred on its time:
its blur shows along which line the sprite moves, and not which way. The two classes of a pair share
their scenes: a scene played forwards is the first class, and played backwards, frame for frame, the
second. Any function of a video that does not look at the order of frames therefore gives both the
same answer, and is right on one of the two at most.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

__all__ = [
    "CLASS_NAMES",
    "EXPOSURE",
    "PAIRS",
    "SUBFRAMES",
    "Scene",
    "draw_background",
    "draw_picture",
    "draw_scene",
    "draw_sprite",
    "render",
]

PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "counterclockwise"),
    ("growing", "shrinking"),
)
CLASS_NAMES = tuple(sorted(name for pair in PAIRS for name in pair))

EXPOSURE = 5  # frame intervals, in which a sprite moves most of its own size: a streak at 32 pixels
SUBFRAMES = 4  # a frame interval; a sprite moves a pixel at most between two, so blur is smooth

_TEMPLATE = 32  # side in pixels of the texture that a sprite is cut from
_BACKGROUND_COLOURS = (20, 110)  # range of each channel's mean; sprites are the brighter ones
_SPRITE_COLOURS = (140, 235)
_SHAPES = ("disc", "square", "triangle")

# Ranges of what is drawn, the way from the first exposure's start to the last one's end. Lengths
# are in pictures: with its radius on both sides, the longest way still fits.
_RADIUS = (0.09, 0.13)
_TRAVEL = (0.58, 0.72)
_ORBIT = (0.24, 0.3)
_TURNS = (0.75, 1.0)
_GROWTH = (2.0, 3.0)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything that is drawn, fixed by a seed.

    Attributes:
      background: uint8 [height, width, 3].
      sprite: float32 [template, template, 4], RGB in 0 to 255 and opacity in 0 to 1.
      path: float64 [(T - 1 + EXPOSURE) * SUBFRAMES + 1, 4], for each sub-frame the sprite's
        centre (x, y) in pixels, its radius in pixels and its rotation in radians.
    """

    background: np.ndarray
    sprite: np.ndarray
    path: np.ndarray


def _texture(
    rng: np.random.Generator, size: int, cells: int, colours: tuple[int, int], contrast: int
) -> np.ndarray:
    """Smooth noise around a random colour: float32 [size, size, 3] in 0 to 255."""
    noise = rng.uniform(-contrast, contrast, (cells, cells, 3)) + rng.uniform(*colours, 3)
    smooth = cv2.resize(noise.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A background of any size, height and width in pixels: uint8 [height, width, 3], RGB."""
    square = _texture(rng, max(size), 6, _BACKGROUND_COLOURS, 30)
    return square[: size[0], : size[1]].astype(np.uint8)


def draw_sprite(rng: np.random.Generator) -> np.ndarray:
    """A textured shape: float32 [template, template, 4], RGB in 0 to 255, opacity in 0 to 1."""
    y, x = (np.mgrid[:_TEMPLATE, :_TEMPLATE] + 0.5) / _TEMPLATE * 2 - 1
    inside = {
        "disc": x**2 + y**2 < 0.81,
        "square": np.maximum(abs(x), abs(y)) < 0.75,
        "triangle": (y < 0.65) & (y > 1.9 * abs(x) - 0.9),
    }[rng.choice(_SHAPES)]
    texture = _texture(rng, _TEMPLATE, 5, _SPRITE_COLOURS, 40)
    return np.dstack([texture, inside.astype(np.float32)])


def _path(rng: np.random.Generator, pair: tuple[str, str], steps: int, size: int) -> np.ndarray:
    """The sprite's path for the first class of a pair, inside the picture from end to end."""
    progress = np.linspace(-0.5, 0.5, steps)
    radius = np.full(steps, rng.uniform(*_RADIUS) * size)
    turn = np.full(steps, rng.uniform(0, 2 * np.pi))
    dx, dy = np.zeros(steps), np.zeros(steps)
    if pair == ("left", "right"):
        dx = -progress * rng.uniform(*_TRAVEL) * size
    elif pair == ("up", "down"):
        dy = -progress * rng.uniform(*_TRAVEL) * size
    elif pair == ("clockwise", "counterclockwise"):
        # With y pointing down, a growing angle is clockwise to the eye.
        # Setting out from the right half of the orbit, most of the way round.
        turns = rng.uniform(*_TURNS)
        angle = rng.uniform(-0.5, 0.5) * np.pi + (progress + 0.5) * turns * 2 * np.pi
        orbit = rng.uniform(*_ORBIT) * size
        dx, dy = orbit * np.cos(angle), orbit * np.sin(angle)
        turn = turn + angle
    elif pair == ("growing", "shrinking"):
        radius = radius * rng.uniform(*_GROWTH) ** progress
    else:
        raise ValueError(f"Unknown pair of motions {pair}: the pairs are {PAIRS}.")
    x, y = (rng.uniform(*_free(size, radius, offset)) + offset for offset in (dx, dy))
    return np.stack([x, y, radius, turn], axis=1)


def _free(size: int, radius: np.ndarray, offset: np.ndarray) -> tuple[float, float]:
    """Bounds within which a centre keeps the whole path inside the picture."""
    return float((radius - offset).max()), float((size - radius - offset).min())


def draw_scene(seed: tuple[int, ...], pair: tuple[str, str], *, frames: int, size: int) -> Scene:
    """The scene of a seed.

    Args:
      seed: non-negative integers.
      pair: one of :data:`PAIRS`; the path is that of its first class.
      frames: length of the video.
      size: side of the square pictures, in pixels.
    """
    rng = np.random.default_rng(seed)
    background = _texture(rng, size, 6, _BACKGROUND_COLOURS, 30).astype(np.uint8)
    steps = (frames - 1 + EXPOSURE) * SUBFRAMES + 1
    return Scene(background, draw_sprite(rng), _path(rng, pair, steps, size))


def render(scene: Scene) -> np.ndarray:
    """The frames of a scene played forwards: uint8 [T, height, width, 3], RGB.

    Frame ``t`` is the mean of the sub-frames from ``t * SUBFRAMES`` on, both ends of its exposure
    included.
    """
    background = scene.background.astype(np.float32)
    # Whole numbers add up to the same in any order: a path backwards gives these frames backwards.
    sharp = np.array([draw_picture(background, scene.sprite, *at) for at in scene.path], np.uint16)
    exposed = EXPOSURE * SUBFRAMES + 1
    starts = range(0, len(sharp) - exposed + 1, SUBFRAMES)
    sums = np.stack([sharp[start : start + exposed].sum(axis=0) for start in starts])
    return np.rint(sums / exposed).astype(np.uint8)


def draw_picture(
    background: np.ndarray, sprite: np.ndarray, x: float, y: float, radius: float, turn: float
) -> np.ndarray:
    """The sprite at one place, without blur: float32 [height, width, 3], whole numbers to 255."""
    scale = 2 * radius / _TEMPLATE
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    # Rotation and scale about the sprite's middle, then a shift to (x, y); both in pixel centres,
    # which OpenCV counts from 0.
    centre = (_TEMPLATE - 1) / 2
    matrix = np.array(
        [
            [cos, -sin, x - 0.5 - centre * (cos - sin)],
            [sin, cos, y - 0.5 - centre * (sin + cos)],
        ]
    )
    layer = cv2.warpAffine(sprite, matrix, background.shape[1::-1], flags=cv2.INTER_LINEAR)
    opacity = layer[..., 3:]
    return np.clip(np.rint(background + opacity * (layer[..., :3] - background)), 0, 255)
