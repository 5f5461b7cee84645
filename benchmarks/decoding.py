"""Clips per CPU second from a 10 s video, by reader and by how the video is stored.

    python -m benchmarks.decoding
    python -m benchmarks.decoding --videos=DIR --json=decoding.json

A clip is 8 frames, 32 apart, at a random start, its shorter side brought to 256 … 320 and cut to
224 × 224 at random: the paper's recipe for Kinetics. ``ordinary`` is what libx264 makes of the
video by default, ``canonical`` what vidtx stores. All readers take the same bytes and frames in one
process, one after the other on every clip, and count CPU seconds of all their threads, so that a
busy machine slows all alike; ratios are taken within each round. Packages that are not installed
are left out and named. None of decord, torch and torchcodec is a dependency of vidtx.

``exact`` is the share of frames that are the right ones: nearest to that number's frame of full
decoding (colours may differ by rounding).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import platform
import statistics
import time

import numpy as np

from benchmarks import footage, readers
from data_pipelines.decoding.decode import decode_all
from data_pipelines.encode import CANONICAL, encode_mp4
from data_pipelines.sampling import train_indices
from data_pipelines.spatial import random_crop_resize

BASE = ("pyav sequential", "ordinary")
CROP = (224, 224)


@dataclasses.dataclass
class Row:
    """One reader on one kind of file.

    Attributes:
        reader: As in ``readers.READERS``.
        storage: ``ordinary`` or ``canonical``.
        rounds: CPU seconds per clip, one value a round.
        exact: Share of right frames.
    """

    reader: str
    storage: str
    rounds: list[float] = dataclasses.field(default_factory=list)
    exact: float = float("nan")


def clip(reader: readers.Reader, data: bytes, frames: int, draws: np.random.Generator):
    """Reads and crops one clip, uint8 [8, 224, 224, 3], from three random draws."""
    start, *position = draws.random(3)
    numbers = train_indices(frames, footage.FPS, frames=8, stride=32, start_fraction=start)
    short_side = int(draws.integers(256, 321))
    pictures = reader(data, numbers.tolist())
    return random_crop_resize(pictures, short_side=short_side, crop=CROP, position=position)


def measure(
    stored: dict[str, list[bytes]], frames: int, clips: int, rounds: int
) -> tuple[list[Row], list[str]]:
    """Measures all readers on all files.

    Args:
        stored: Files by kind of storage, each list of the same videos in the same order.
        frames: Frames of each video.
        clips: Clips of a round, of each reader and storage.
        rounds: Repetitions, over which medians are taken.

    Returns:
        A row for each reader and storage, and the names of readers that are not installed.
    """
    found = readers.available(stored["ordinary"][0])
    rows = {(name, kind): Row(name, kind) for kind in stored for name in found}
    for row in rows.values():
        row.exact = _exact(found[row.reader], stored[row.storage][0])
    for number in range(rounds):
        spent = dict.fromkeys(rows, 0.0)
        for repeat in range(clips):
            for name, kind in rows:
                video = stored[kind][repeat % len(stored[kind])]
                draws = np.random.default_rng((number, repeat))  # the same for everyone
                begin = time.process_time()
                clip(found[name], video, frames, draws)
                spent[name, kind] += time.process_time() - begin
        for key, row in rows.items():
            row.rounds.append(spent[key] / clips)
    return list(rows.values()), readers.absent()


def _exact(reader: readers.Reader, data: bytes) -> float:
    """Returns the share of chosen frames that are those of full decoding."""
    frames = decode_all(data)
    chosen = np.unique(np.random.default_rng(0).integers(0, len(frames), 24))
    small = frames[:, ::4, ::4].astype(np.int16)
    pictures = reader(data, chosen.tolist())[:, ::4, ::4]
    nearest = [np.abs(small - one).mean((1, 2, 3)).argmin() for one in pictures]
    return float(np.mean(nearest == chosen))


def table(rows: list[Row]) -> str:
    """Returns rows as a Markdown table, with ratios to sequential decoding of ordinary files."""
    base = next(row for row in rows if (row.reader, row.storage) == BASE).rounds
    lines = [
        "| file | reader | clips per CPU s: median (lowest … highest) | × sequential | exact |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in sorted(rows, key=lambda row: (row.storage, statistics.median(row.rounds))):
        rates = [1 / seconds for seconds in row.rounds]
        ratio = statistics.median(a / b for a, b in zip(base, row.rounds, strict=True))
        lines.append(
            f"| {row.storage} | {row.reader} ({readers.version(row.reader)}) | "
            f"{statistics.median(rates):.1f} ({min(rates):.1f} … {max(rates):.1f}) | "
            f"{ratio:.2f} | {row.exact:.0%} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=pathlib.Path, help="real videos, instead of made-up ones")
    parser.add_argument("--most", type=int, default=4, help="videos taken")
    parser.add_argument("--clips", type=int, default=12, help="of a round, per reader and file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers there too")
    options = parser.parse_args(arguments)
    if options.videos:
        sources = footage.real(options.videos, options.most)
    else:
        sources = {f"made up {seed}": footage.made_up(seed) for seed in range(options.most)}
    if not sources:
        parser.error(f"--videos={options.videos}: no video of 100 frames or more is there.")
    settings = {"ordinary": {}, "canonical": CANONICAL}
    stored = {
        kind: [encode_mp4(video, fps=footage.FPS, options=how) for video in sources.values()]
        for kind, how in settings.items()
    }
    size = {kind: np.mean([len(data) for data in files]) for kind, files in stored.items()}
    frames = footage.FPS * footage.SECONDS
    rows, missing = measure(stored, frames, options.clips, options.rounds)
    print(f"\n{len(sources)} videos ({', '.join(sources)}), {frames} frames each,")
    print(f"KB a video: {', '.join(f'{kind} {value / 1e3:.0f}' for kind, value in size.items())}.")
    print(f"{options.rounds} rounds of {options.clips} clips; {platform.machine()}.\n")
    print(table(rows))
    print(f"\nNot installed: {', '.join(missing) or 'none'}.")
    if options.json:
        result = {
            "videos": list(sources),
            "bytes": {kind: float(value) for kind, value in size.items()},
            "rows": [
                dataclasses.asdict(row) | {"package": readers.version(row.reader)} for row in rows
            ],
            "absent": missing,
        }
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
