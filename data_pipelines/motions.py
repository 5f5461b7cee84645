"""The embedded data set `motions`: labelled video that is made, not downloaded.

    python -m data_pipelines.motions --out=data

Eight classes in four pairs of opposite motions. Frames have a long exposure: the blur of a single
one tells the pair, and only the order of frames tells which of the two it is. Every scene is stored
twice, forwards under one class and backwards under the other of its pair, each frame coded alone at
a constant quantiser, so that the two videos hold exactly the same decoded frames in opposite order.
Whatever ignores the order of frames is right on at most half of them.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import tensorflow_datasets as tfds

from data_pipelines.digests import CONTENT_DIGESTS
from data_pipelines.encode import INTRA, encode_mp4
from data_pipelines.errors import DataError
from data_pipelines.motions_render import CLASS_NAMES, PAIRS, draw_scene, render
from data_pipelines.records import describe, features, open_split

__all__ = ["FPS", "FRAMES", "NAME", "SIZE", "Motions", "build", "build_in_process", "is_built"]

NAME = "motions"
FRAMES = 17  # eight at a stride of two, and two to spare: the middle clip reads alike backwards
SIZE = 32  # pixels
FPS = 10.0

_SPLITS = {"train": 0, "test": 1}  # the first number of a scene's seed
_SCENES_A_JOB = 64
_POLL_SECONDS = 0.05


class Motions(tfds.core.GeneratorBasedBuilder):
    """The TFDS builder of `motions`.

    Attributes:
      VERSION: grows when any pixel or label changes.
    """

    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES = {  # noqa: RUF012
        "1.0.0": "Eight motions in four pairs of opposites.",
        "2.0.0": "Frames are exposed for five frame intervals: their blur tells the pair.",
    }

    def __init__(self, *, train_scenes: int = 4000, test_scenes: int = 500, **options):
        """Makes a builder; ``options`` as of every TFDS builder.

        Args:
          train_scenes: scenes of the train split, each of which is two videos.
          test_scenes: scenes of the test split.
          **options: such as ``data_dir``.
        """
        self._scenes = {"train": train_scenes, "test": test_scenes}
        self._made: Callable[[int], None] = lambda count: None
        super().__init__(file_format="array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=features(CLASS_NAMES),
            supervised_keys=("video", "label"),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split) for split in _SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
        scenes = self._scenes[split]
        digest = hashlib.sha256()
        jobs = [
            (split, start, min(start + _SCENES_A_JOB, scenes))
            for start in range(0, scenes, _SCENES_A_JOB)
        ]
        # Spawned, not forked: this process may have threads by now.
        context = multiprocessing.get_context("spawn")
        workers = min(len(jobs), len(os.sched_getaffinity(0)))
        with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
            for videos in pool.map(_make_videos, jobs):
                for key, video in videos:
                    digest.update(json.dumps([key, video["label"]]).encode() + video["video"])
                    yield key, video
                self._made(len(videos))
        # What the records hold; their bytes on disk differ from build to build.
        contents = self.info.metadata.setdefault(CONTENT_DIGESTS, {})
        contents[split] = digest.hexdigest()


def _make_videos(job: tuple[str, int, int]) -> list[tuple[str, dict]]:
    """Both videos of each of a range of scenes, with their keys."""
    split, start, stop = job
    videos = []
    for number in range(start, stop):
        pair = PAIRS[number % len(PAIRS)]
        forwards = render(draw_scene((_SPLITS[split], number), pair, frames=FRAMES, size=SIZE))
        for label, frames in zip(pair, (forwards, forwards[::-1]), strict=True):
            video_id = f"{split}_{number:06d}_{label}"
            videos.append(
                (
                    video_id,
                    {
                        "video": encode_mp4(frames, fps=FPS, options=INTRA),
                        "video_id": video_id,
                        "label": label,
                        "num_frames": FRAMES,
                        "height": SIZE,
                        "width": SIZE,
                        "fps": FPS,
                    },
                )
            )
    return videos


def build(
    data_dir: str | os.PathLike,
    *,
    train_scenes: int = 4000,
    test_scenes: int = 500,
    made: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Makes the data set in ``data_dir/motions``, unless it is there already.

    What an interrupted build left behind is deleted first; a finished data set never is.

    Args:
      data_dir: the folder of all data sets.
      train_scenes: scenes of the train split, each of which is two videos.
      test_scenes: scenes of the test split.
      made: called with the videos made so far and in all.

    Raises:
      OSError: it cannot be written.
    """
    total = 2 * (train_scenes + test_scenes)
    done = collections.Counter()

    def add(count: int) -> None:
        done.update(videos=count)
        made(done["videos"], total)

    with _alone(data_dir):
        for leftover in pathlib.Path(data_dir, NAME).glob("incomplete.*"):
            shutil.rmtree(leftover)
        builder = Motions(
            data_dir=os.fspath(data_dir), train_scenes=train_scenes, test_scenes=test_scenes
        )
        builder._made = add
        # TFDS wants a place for downloads, of which there are none, and draws bars of its own.
        tfds.disable_progress_bar()
        with tempfile.TemporaryDirectory() as downloads:
            builder.download_and_prepare(download_dir=downloads)


@contextlib.contextmanager
def _alone(data_dir: str | os.PathLike) -> Iterator[None]:
    """Waits until no other process builds there: two runs may be started at once."""
    folder = pathlib.Path(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f".{NAME}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_in_process(
    data_dir: str | os.PathLike,
    between: Callable[[], None] = lambda: None,
    *,
    train_scenes: int = 4000,
    test_scenes: int = 500,
) -> None:
    """Makes the data set in a process of its own, whose workers import what a build needs alone.

    Args:
      data_dir: the folder of all data sets.
      between: called now and then; what it raises stops the build.
      train_scenes: scenes of the train split, each of which is two videos.
      test_scenes: scenes of the test split.

    Raises:
      RuntimeError: the build failed; its own messages are on standard error.
    """
    command = [
        *(sys.executable, "-m", __spec__.name, f"--out={os.fspath(data_dir)}"),
        *(f"--train_scenes={train_scenes}", f"--test_scenes={test_scenes}"),
    ]
    # In a session of its own, so that Ctrl-C reaches this process alone.
    process = subprocess.Popen(command, start_new_session=True)
    try:
        while process.poll() is None:
            between()
            time.sleep(_POLL_SECONDS)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}.")


def is_built(data_dir: str | os.PathLike) -> bool:
    """Whether a finished build of this version lies in ``data_dir``, whole or not."""
    return pathlib.Path(data_dir, NAME, str(Motions.VERSION), "dataset_info.json").exists()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m data_pipelines.motions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", default="data", help="folder of all data sets (default: data)")
    parser.add_argument("--train_scenes", type=int, default=4000, help="two videos each")
    parser.add_argument("--test_scenes", type=int, default=500, help="two videos each")
    options = parser.parse_args(arguments)
    try:
        build(
            options.out,
            train_scenes=options.train_scenes,
            test_scenes=options.test_scenes,
            made=_print_progress,
        )
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    try:
        description = describe(NAME, options.out)
        for split in description.splits:
            open_split(NAME, split, options.out)
    except DataError as error:
        sys.exit(f"{NAME} was made before and is damaged: {error}")
    print(f"{NAME} is in {pathlib.Path(options.out, NAME)}, fingerprint {description.fingerprint}.")


def _print_progress(done: int, total: int) -> None:
    """Prints how many videos are made, about ten times in all."""
    if done == total or done % (total // 10 or 1) < 2 * _SCENES_A_JOB:
        print(f"{NAME}: {done} of {total} videos made", flush=True)


if __name__ == "__main__":
    main()
