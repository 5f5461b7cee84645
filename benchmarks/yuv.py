"""Would it pay to send YUV 4:2:0 to the device, and to make RGB of it there?

    python -m benchmarks.yuv
    python -m benchmarks.yuv --videos=DIR

Two roads from the same decoded frames of canonical files to clips of 224 × 224: today's (RGB of
whole frames by swscale, window, resize) and one that cuts and resizes the three planes on the host
and makes RGB in a compiled step. Both start from windows whose corner is even, as chroma has half
the resolution. Prints the host's CPU time after decoding and in all, the bytes that travel, and how
far the two results are apart, in levels of 255: where nothing is resized, and where it is.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import time

import av
import cv2
import jax
import jax.numpy as jnp
import numpy as np
from av.video.reformatter import VideoReformatter

from benchmarks import footage
from data_pipelines.decoding.coded import coded_stream
from data_pipelines.decoding.packets import runs
from data_pipelines.encode import encode_mp4

CROP = 224


def decoded(data: bytes, start: int) -> list[av.VideoFrame]:
    """Returns 8 frames, 32 apart, as the decoder gives them; what both roads share."""
    with coded_stream(data, strict=False) as coded:
        positions = [coded.order[start + 32 * number] for number in range(8)]
        wanted = {coded.times[position] for position in positions}
        found = {}
        for first, last in runs(coded.times, coded.keys, positions):
            for position in range(first, last + 1):
                if coded.disposable[position] and coded.times[position] not in wanted:
                    continue
                for frame in coded.decoder.decode(coded.packet(position)):
                    found[frame.pts] = frame
            for frame in coded.decoder.decode(None):
                found[frame.pts] = frame
            coded.decoder.flush_buffers()
    return [found[coded.times[position]] for position in positions]


def rgb_road(frames: list[av.VideoFrame], top: int, left: int, side: int) -> np.ndarray:
    """Returns uint8 [8, 224, 224, 3], as the loader makes it."""
    reformatter = VideoReformatter()
    clip = np.empty((len(frames), CROP, CROP, 3), np.uint8)
    for frame, row in zip(frames, clip, strict=True):
        picture = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        _resize(picture[top : top + side, left : left + side], row)
    return clip


def yuv_road(frames: list[av.VideoFrame], top: int, left: int, side: int) -> np.ndarray:
    """Returns uint8 [8, 336, 224]: luma, then the rows of both chroma planes."""
    clip = np.empty((len(frames), CROP * 3 // 2, CROP), np.uint8)
    chroma = clip[:, CROP:].reshape(len(frames), 2, CROP // 2, CROP // 2)
    for number, frame in enumerate(frames):
        for plane, target, by in zip(
            frame.planes, (clip[number, :CROP], *chroma[number]), (1, 2, 2), strict=True
        ):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            cut = rows[top // by : (top + side) // by, left // by : (left + side) // by]
            _resize(cut, target)
    return clip


def _resize(source: np.ndarray, target: np.ndarray) -> None:
    if source.shape == target.shape:
        target[:] = source
    else:
        cv2.resize(source, target.shape[1::-1], dst=target, interpolation=cv2.INTER_LINEAR)


@jax.jit
def to_rgb(clip: jax.Array) -> jax.Array:
    """Makes uint8 [8, 224, 224, 3] of planes, by BT.601 with limited range, as untagged video."""
    luma = 255 / 219 * (clip[:, :CROP].astype(jnp.float32) - 16)
    chroma = clip[:, CROP:].reshape(len(clip), 2, CROP // 2, CROP // 2).astype(jnp.float32) - 128
    blue, red = jnp.moveaxis(255 / 224 * chroma.repeat(2, 2).repeat(2, 3), 1, 0)
    planes = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    return jnp.clip(jnp.round(jnp.stack(planes, -1)), 0, 255).astype(jnp.uint8)


def _difference(frames, top: int, left: int, side: int) -> np.ndarray:
    road = np.asarray(to_rgb(yuv_road(frames, top, left, side))).astype(int)
    return np.abs(road - rgb_road(frames, top, left, side))


def _timed(function, *arguments) -> float:
    begin = time.process_time()
    function(*arguments)
    return time.process_time() - begin


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=pathlib.Path, help="real videos, instead of made-up ones")
    parser.add_argument("--clips", type=int, default=60)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(0)
    if options.videos:
        sources = list(footage.real(options.videos, 4).values())
    else:
        sources = [footage.made_up(seed) for seed in range(2)]
    stored = [encode_mp4(video, fps=footage.FPS) for video in sources]
    rng = np.random.default_rng(0)
    spent: dict[str, list[float]] = {"decode": [], "rgb": [], "yuv": []}
    apart: dict[str, list[np.ndarray]] = {"not resized": [], "resized": []}
    for number in range(options.clips):
        data = stored[number % len(stored)]
        start = int(rng.integers(0, 300 - 7 * 32))
        frames = decoded(data, start)
        side = 2 * round(CROP * footage.HEIGHT / rng.integers(256, 321) / 2)
        top, left = (2 * int(rng.integers(0, (size - side) // 2 + 1)) for size in (256, 340))
        spent["decode"].append(_timed(decoded, data, start))
        spent["rgb"].append(_timed(rgb_road, frames, top, left, side))
        spent["yuv"].append(_timed(yuv_road, frames, top, left, side))
        if number < 12:
            apart["not resized"].append(_difference(frames, top // 4 * 2, left // 4 * 2, CROP))
            apart["resized"].append(_difference(frames, top, left, side))
    median = {name: 1e3 * statistics.median(values) for name, values in spent.items()}
    print("| road | host CPU after decoding | host CPU in all | clips per CPU s | bytes a clip |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, size in (("rgb", 8 * CROP * CROP * 3), ("yuv", 8 * CROP * CROP * 3 // 2)):
        whole = median["decode"] + median[name]
        print(f"| {name} | {median[name]:.2f} ms | {whole:.2f} ms | {1e3 / whole:.1f} | {size:,} |")
    both = [median["decode"] + median[name] for name in ("rgb", "yuv")]
    print(f"\nYUV makes {both[0] / both[1] - 1:.1%} more clips per CPU second of the host.")
    for name, differences in apart.items():
        levels = np.concatenate([one.ravel() for one in differences])
        print(
            f"{name}: apart by {levels.mean():.2f} levels in the mean, {levels.max()} at most; "
            f"{np.mean(levels > 1):.1%} of the values by more than one."
        )


if __name__ == "__main__":
    main()
