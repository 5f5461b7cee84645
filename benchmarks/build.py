"""What a build costs: CPU seconds and bytes stored, for every second of video.

    python -m benchmarks.build
    python -m benchmarks.build --videos=DIR
    python -m benchmarks.build --hours=134472 --cores=400
    python -m benchmarks.build --plan=100000

Without ``--videos``, sources are made on the spot: footage with the bits and the motion of Kinetics
(`benchmarks.footage`), as ordinary H.264 files (x264's defaults) of 240, 360 and 720 lines, 16:9,
30 frames a second. What a video costs depends on its content, so one's own videos tell more. One
thread does all the work, as in a worker of a build, so the figures are CPU seconds of one core
whatever else the machine does. Each is the median of ``--repeats`` runs, the settings taking turns.

``--hours`` of video give the core-hours, the hours on ``--cores`` cores that are busy throughout,
and the size of the data set. ``--plan`` measures instead what the launching process does before any
video is opened: planning so many videos, each with 110 captions as in HowTo100M (136 million of 1.2
million videos; Miech et al., ICCV 2019), cut into records.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import fractions
import hashlib
import io
import itertools
import multiprocessing
import pathlib
import resource
import statistics
import tempfile
import time

import av
import cv2
import numpy as np

from benchmarks import footage
from data_pipelines.annotations.entries import Caption, Entry, Listing
from data_pipelines.build.prepare import prepared
from data_pipelines.build.settings import Settings
from data_pipelines.build.transcode import store
from data_pipelines.errors import VideoError
from data_pipelines.shards import BUILDING

FPS = 30
LINES = (240, 360, 720)
SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
STORAGES = {
    "canonical, 10 fps, short side 256": Settings(max_fps=10.0),
    "canonical, 30 fps, short side 256": Settings(),
    "canonical, 30 fps, short side 320": Settings(short_side=320),
    "jpeg, 10 fps, short side 256": Settings(storage="jpeg", max_fps=10.0),
    "as_is": Settings(storage="as_is"),
}


def scene(lines: int, seconds: int) -> np.ndarray:
    """Returns uint8 [T, lines, width, 3], RGB, 16:9: made-up footage, enlarged or shrunk."""
    size = (lines * 16 // 9 // 2 * 2, lines)
    small = footage.made_up(0, FPS * seconds)
    frames = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_CUBIC) for one in small])
    rng = np.random.default_rng(0)
    for frame in frames:  # a sensor's noise, which enlarging has smoothed away
        frame[:] = np.clip(frame + rng.normal(0, 1.5, frame.shape), 0, 255)
    return frames


def ordinary_mp4(frames: np.ndarray) -> bytes:
    """Returns frames as an H.264 file of x264's defaults."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, fractions.Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def cost(source: bytes, settings: Settings) -> tuple[float, int, float]:
    """Returns CPU seconds to check and store a video, bytes stored, and its length in seconds."""
    begin = time.process_time()
    hashlib.sha256(source).hexdigest()
    records = list(store(source, settings))
    spent = time.process_time() - begin
    size = sum(len(record.video or b"".join(record.frames)) for record in records)
    return spent, size, sum(record.num_frames / record.fps for record in records)


def report(sources: dict[str, list[bytes]], repeats: int, hours: float, cores: int) -> None:
    """Prints a line for every kind of source and every storage."""
    spent, stored = {}, {}
    for _, (name, videos), label in itertools.product(range(repeats), sources.items(), STORAGES):
        results = np.array([cost(video, STORAGES[label]) for video in videos]).sum(axis=0)
        spent.setdefault((name, label), []).append(results[0] / results[2])
        stored[name, label] = results[1] / results[2]
    print(f"\nCore-hours, hours on {cores} cores and TB for {hours:g} hours of video:")
    heads = ("CPU-s per s", "KB per s", "core-hours", "hours", "TB")
    print(f"{'source':24} {'storage':33}", *(f"{head:>11}" for head in heads))
    for (name, label), runs in spent.items():
        rate, size = statistics.median(runs), stored[name, label]
        columns = (rate, size / 1e3, rate * hours, rate * hours / cores, size * hours * 3600 / 1e12)
        print(f"{name:24} {label:33}", *(f"{column:11.4g}" for column in columns))
    print(f"\nPeak memory of the process that did this, sources included: {_peak()} MiB.")


def made(lines: int, seconds: int) -> bytes:
    """Returns one of the sources that are made."""
    return ordinary_mp4(scene(lines, seconds))


def plan(videos: int) -> None:
    """Plans a build of so many captioned videos, and prints what that takes."""
    names = [f"video_{number:07d}" for number in range(videos)]
    entries = [Entry(name, f"bucket/videos/{name}.mp4") for name in names]
    said = [
        Caption(4.0 * n, 4.0 * n + 3, "and now we take the flour and the butter")
        for n in range(110)
    ]
    listing = Listing(
        name="planned",
        class_names=("unknown",),
        splits={"train": entries},
        annotations={"captions.json": "0" * 64},
        captions=lambda: ((name, said) for name in names),
    )
    begin = time.process_time()
    with (
        tempfile.TemporaryDirectory() as out,
        prepared(listing, out, Settings(max_fps=10.0, record_seconds=30.0)) as (made, folder),
    ):
        spent = time.process_time() - begin
        size = sum(path.stat().length for path in (folder / BUILDING).iterdir())
        shards = made.shards["train"]
        print(
            f"{videos} videos in {shards} shards: {spent:.0f} CPU-s, {size / 1e6:.0f} MB of plans"
        )
    print(f"Peak memory of this process: {_peak()} MiB.")


def _peak() -> int:
    """Returns the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.build",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--videos", type=pathlib.Path, help="a folder of videos to use instead")
    parser.add_argument("--seconds", type=int, default=10, help="length of those that are made")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hours", type=float, default=1, help="of video to reckon for")
    parser.add_argument("--cores", type=int, default=1, help="to reckon for")
    parser.add_argument("--plan", type=int, metavar="VIDEOS", help="plan a build, and no more")
    options = parser.parse_args()
    if options.plan is not None:
        plan(options.plan)
        return
    av.logging.set_level(None)
    if options.videos is None:
        # In a process of its own, as what it takes is not part of the cost.
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
            videos = list(pool.map(made, LINES, itertools.repeat(options.seconds)))
        sources = {
            f"made, {lines} lines": [video] for lines, video in zip(LINES, videos, strict=True)
        }
    else:
        sources = {}
        for path in sorted(options.videos.iterdir()):
            if path.suffix in SUFFIXES:
                try:
                    cost(path.read_bytes(), STORAGES["as_is"])
                except VideoError as error:
                    print(f"{path.name} left out: {error}")
                else:
                    sources[path.name[:24]] = [path.read_bytes()]
    for name, videos in sources.items():
        print(f"{name}: {sum(map(len, videos)) / 1e3:.0f} KB")
    report(sources, options.repeats, options.hours, options.cores)


if __name__ == "__main__":
    main()
