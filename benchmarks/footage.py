"""Videos for the measurements: made up, or real ones brought to the size of Kinetics.

What a decoder costs depends on bits and motion, so made-up footage has textures with the spectrum
of photographs (amplitude falling as 1/frequency; Field, JOSA A 1987), a camera that pans and zooms,
things that move in front of it, and a sensor's noise. x264's defaults give it about the bits that
they give a real Kinetics clip.
"""

from __future__ import annotations

import math
import pathlib

import cv2
import numpy as np

from data_pipelines.decoding.decode import decode_all
from data_pipelines.errors import VideoError

__all__ = ["made_up", "real"]

HEIGHT, WIDTH, FPS, SECONDS = 256, 340, 30, 10


def made_up(seed: int, frames: int = FPS * SECONDS) -> np.ndarray:
    """Returns uint8 [frames, 256, 340, 3], RGB, a pan over textures with things in front."""
    rng = np.random.default_rng(seed)
    ground = _texture(rng, 2 * HEIGHT, 2 * WIDTH)
    things = [(_texture(rng, 160, 160), rng.uniform(30, 70, 2), _path(rng, frames)) for _ in "abc"]
    camera, zoom = _path(rng, frames), 1.15 + 0.15 * _path(rng, frames)[:, 0]
    video = np.empty((frames, HEIGHT, WIDTH, 3), np.uint8)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    for number, picture in enumerate(video):
        centre = np.array([WIDTH, HEIGHT]) + 70 * camera[number]
        view = _view(ground, centre, zoom[number], (WIDTH, HEIGHT))
        for texture, (a, b), path in things:
            x, y = np.array([WIDTH, HEIGHT]) / 2 + path[number] * (WIDTH / 2.2, HEIGHT / 2.2)
            inside = ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 < 1
            shift = np.float32([[1, 0, x - 80], [0, 1, y - 80]])
            front = cv2.warpAffine(texture, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
            view[inside] = front[inside]
        noise = rng.normal(0, 1.5, view.shape).astype(np.float32)
        picture[:] = np.clip(view + noise, 0, 255)
    return video


def real(folder: pathlib.Path, most: int) -> dict[str, np.ndarray]:
    """Returns the videos of a folder that last 5 s or more, each as uint8 [300, 256, width, 3].

    Shorter sides are brought to 256 pixels, longer ones are cut to 340 at most. A video of fewer
    than 300 frames is played on backwards; all are taken to have 30 frames a second.

    Args:
        folder: Holds video files.
        most: Videos, at most; the first in order of names.
    """
    videos: dict[str, np.ndarray] = {}
    for path in sorted(folder.iterdir()):
        if len(videos) == most:
            break
        try:
            frames = decode_all(path.read_bytes())
        except (VideoError, OSError):
            continue
        if len(frames) < FPS * SECONDS / 3 or min(frames.shape[1:3]) < 200:
            continue
        there_and_back = np.r_[np.arange(len(frames)), np.arange(len(frames))[::-1]]
        frames = frames[np.resize(there_and_back, FPS * SECONDS)]
        scale = HEIGHT / min(frames.shape[1:3])
        size = [2 * round(length * scale / 2) for length in frames.shape[1:3]]
        small = np.stack([cv2.resize(one, size[::-1], interpolation=3) for one in frames])
        top, left = (max(0, length - WIDTH) // 2 for length in small.shape[1:3])
        videos[path.stem] = small[:, top : top + WIDTH, left : left + WIDTH]
    return videos


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Returns float32 [height, width, 3] of a photograph's spectrum, in 0 … 255."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1 / max(height, width)
    planes = []
    for strength in (45, 12, 12):  # brightness varies more than colour does
        phase = np.exp(2j * math.pi * rng.random(frequency.shape))
        plane = np.fft.irfft2(phase / frequency**1.22, (height, width))
        planes.append(strength * plane / plane.std())
    light, red, blue = planes
    picture = np.stack([light + red, light - 0.5 * red - 0.2 * blue, light + blue], -1)
    return np.clip(picture + 120, 0, 255).astype(np.float32)


def _path(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Returns a smooth path, float64 [frames, 2], mostly in -1 … 1."""
    time = np.linspace(0, 1, frames)[:, None, None]
    waves = np.arange(1, 6)
    angle = 2 * math.pi * (time * waves + rng.random((2, 5)))
    return np.sin(angle) @ (rng.uniform(0.5, 1, 5) / waves**0.7) / 1.8


def _view(ground: np.ndarray, centre: np.ndarray, zoom: float, size: tuple[int, int]) -> np.ndarray:
    """Returns what a camera over ``centre`` sees, float32 [height, width, 3]."""
    move = np.array(size) / 2 - zoom * centre
    matrix = np.float32([[zoom, 0, move[0]], [0, zoom, move[1]]])
    return cv2.warpAffine(ground, matrix, size, borderMode=cv2.BORDER_REFLECT)
