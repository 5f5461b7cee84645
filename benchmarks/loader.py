"""What the loader costs over a plain loop that decodes: CPU seconds per clip.

    python -m benchmarks.loader
    python -m benchmarks.loader --data_dir=DIR --name=NAME --split=train

Without ``--name``, ten-second videos are made up and stored as vidtx stores them. A clip is 8
frames, 32 apart, at a random start, its shorter side brought to 256 … 320 and cut to 224 × 224 at
random. The plain loop makes such clips one after the other and no batches of them; the loader
shuffles, draws, makes batches in threads or worker processes, and hands them over.

The ways take turns, and each ratio is of two values of the same round, so that a busy machine slows
both alike. All threads and processes are counted, the start of workers is not. The few videos stand
for many: grain's shuffle costs 10 µs a clip of a large data set, and 2 ms of one of six records.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks import footage
from data_pipelines import records
from data_pipelines.clips import ClipSpec, TrainClips
from data_pipelines.encode import CANONICAL, encode_mp4
from data_pipelines.folder import FolderDataset, FolderSource
from data_pipelines.loader import train_batches

SPEC = ClipSpec()  # the paper's recipe for Kinetics
RECORDS = 100_000  # that the videos which are made up stand for
WAYS = ((0, 0), (1, 0), (2, 0), (4, 0), (0, 1), (0, 2), (1, 2))


class Many:
    """A source of many records, of few videos over and over."""

    single_label, multi_label = True, False

    def __init__(self, source: FolderSource):
        self.name, self.class_names = source.name, source.class_names
        self._source = source

    def __len__(self) -> int:
        return RECORDS

    def __getitem__(self, index: int) -> dict:
        return self._source[index % len(self._source)]


def made_up(folder: pathlib.Path, videos: int) -> Many:
    """Writes canonical videos, a folder of one class, and opens it."""
    for number in range(videos):
        path = folder / "made_up" / "train" / "all" / f"{number:03d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = footage.made_up(number)
        path.write_bytes(encode_mp4(frames, fps=footage.FPS, options=CANONICAL))
    return Many(FolderDataset("made_up", folder).open_split("train"))


def cpu_seconds() -> float:
    """CPU time of this process and of its living children, in seconds."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        fields = pathlib.Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def plain(source: object, clips: int, number: int) -> float:
    """Makes clips in a loop; returns CPU seconds per clip."""
    make = TrainClips(source, SPEC)
    rng = np.random.default_rng(number)
    before = cpu_seconds()
    for index in rng.integers(len(source), size=clips):
        make(int(index), rng)
    return (cpu_seconds() - before) / clips


def loaded(
    source: object, clips: int, number: int, *, batch: int, threads: int, workers: int
) -> float:
    """Takes as many clips of the loader; returns CPU seconds per clip.

    What is read ahead is made before the clock starts, and as much is there when it stops.
    """
    options = {"global_batch": batch, "seed": number, "threads": threads, "workers": workers}
    with train_batches(source, SPEC, **options) as batches:
        for _ in range(1 + 4 * workers):
            next(batches)
        settle()
        before = cpu_seconds()
        for _ in range(clips // batch):
            next(batches)
        settle()
        return (cpu_seconds() - before) / (clips // batch * batch)


def settle() -> None:
    """Waits until nothing is read ahead any more."""
    while True:
        before = cpu_seconds()
        time.sleep(0.2)
        if cpu_seconds() - before < 0.02:
            return


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", help="folder of data sets")
    parser.add_argument("--name", help="of a built data set, instead of videos that are made up")
    parser.add_argument("--split", default="train", help="of it (default: train)")
    parser.add_argument("--videos", type=int, default=6, help="that are made up (default: 6)")
    parser.add_argument("--batch", type=int, default=8, help="clips of a batch (default: 8)")
    parser.add_argument("--batches", type=int, default=8, help="a round (default: 8)")
    parser.add_argument("--rounds", type=int, default=7, help="(default: 7)")
    options = parser.parse_args()
    clips = options.batch * options.batches
    with tempfile.TemporaryDirectory() as folder:
        if options.name:
            source = records.open_split(options.name, options.split, options.data_dir)
        else:
            source = made_up(pathlib.Path(folder), options.videos)
        plain(source, clips, 0)  # loads what it takes
        ways: dict[str, Callable[[int], float]] = {
            "plain loop": lambda number: plain(source, clips, number)
        }
        for threads, workers in WAYS:
            ways[f"loader, threads {threads}, workers {workers}"] = (
                lambda number, threads=threads, workers=workers: loaded(
                    source, clips, number, batch=options.batch, threads=threads, workers=workers
                )
            )
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(options.rounds):
            for name, measure in ways.items():
                found[name].append(measure(number))
    show(found, clips)


def show(found: dict[str, list[float]], clips: int) -> None:
    """Prints medians over the rounds, and of the ratios within each round."""
    print(f"{os.cpu_count()} cores, {clips} clips a round, medians of {len(found['plain loop'])}")
    print(f"{'':32} {'CPU ms/clip':>12} {'of plain':>9}")
    for name, rounds in found.items():
        ratios = [mine / base for mine, base in zip(rounds, found["plain loop"], strict=True)]
        print(f"{name:32} {1e3 * statistics.median(rounds):12.1f} {statistics.median(ratios):9.2f}")


if __name__ == "__main__":
    main()
