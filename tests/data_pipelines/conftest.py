"""Videos and data sets for the tests, made on the spot; nothing is downloaded or stored."""

import dataclasses
import fractions
import io
import os
import pathlib

import av
import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_module

from data_pipelines import encode, records

CLASS_NAMES = ("falling", "rising", "turning")


@pytest.fixture(scope="session")
def make_frames():
    """Returns f(num_frames, height, width, seed) -> moving uint8 pictures, no two frames alike."""

    def make(num_frames, height=48, width=64, seed=0):
        rng = np.random.default_rng(seed)
        canvas = rng.integers(0, 256, (height // 8 + num_frames + 2, width // 8 + 2, 3), np.uint8)
        canvas = np.kron(canvas, np.ones((8, 8, 1), np.uint8))
        return np.stack([canvas[3 * t : 3 * t + height, :width] for t in range(num_frames)])

    return make


@pytest.fixture(scope="session")
def write_video():
    """Returns f(frames, ...) -> bytes, a plain writer for whatever PyAV can encode."""

    def write(
        frames,
        codec="libx264",
        container="mp4",
        pix_fmt="yuv420p",
        options=None,
        times=None,
        rotation=0,
        **container_options,
    ):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=container, options=container_options) as output:
            stream = output.add_stream(codec, rate=30, options=options or {})
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = pix_fmt
            stream.codec_context.thread_count = 1
            stream.codec_context.time_base = fractions.Fraction(1, 30)
            if rotation:
                stream.set_display_rotation(rotation)
            for number, picture in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number if times is None else times[number]
                frame.time_base = fractions.Fraction(1, 30)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return buffer.getvalue()

    return write


@dataclasses.dataclass
class Dataset:
    """A TFDS folder written for a test."""

    name: str
    data_dir: pathlib.Path

    @property
    def folder(self):
        return self.data_dir / self.name / "1.0.0"

    def open(self, split="train"):
        return records.open_split(self.name, split, self.data_dir)

    def flip_bytes(self, video):
        """Damages the record on disk that holds these video bytes."""
        probe = video[len(video) // 2 :][:64]
        for shard in sorted(self.folder.glob("*array_record*")):
            content = bytearray(shard.read_bytes())
            place = content.find(probe)
            if place >= 0:
                content[place] ^= 0xFF
                shard.write_bytes(bytes(content))
                return
        raise AssertionError("no shard holds these bytes")


@pytest.fixture(scope="session")
def make_record(make_frames):
    """Returns f(number, ...) -> a record with a small video unlike any other number's."""

    def make(number, num_frames=12, height=36, width=48, options=encode.INTRA):
        frames = make_frames(num_frames, height, width, seed=number)
        return {
            "video": encode.encode_mp4(frames, fps=16, options=options),
            "video_id": f"clip_{number:03d}",
            "label": number % len(CLASS_NAMES),
            "num_frames": num_frames,
            "height": height,
            "width": width,
            "fps": 16.0,
        }

    return make


@pytest.fixture(scope="session")
def write_dataset():
    """Returns f(data_dir, splits, ...) -> Dataset, as TFDS would have written it."""

    def write(data_dir, splits, name="demo", shards=2, features=None):
        dataset = Dataset(name, pathlib.Path(data_dir))
        dataset.folder.mkdir(parents=True)
        features = features or records.features(CLASS_NAMES)
        infos = []
        for split, rows in splits.items():
            template = tfds.core.ShardedFileTemplate(
                data_dir=os.fspath(dataset.folder),
                dataset_name=name,
                split=split,
                filetype_suffix="array_record",
            )
            parts = np.array_split(np.arange(len(rows)), shards)
            for shard, part in enumerate(parts):
                path = os.fspath(template.sharded_filepath(shard_index=shard, num_shards=shards))
                writer = array_record_module.ArrayRecordWriter(path, "group_size:1")
                for row in part:
                    example = features.encode_example(rows[row])
                    writer.write(features.serialize_example(example))
                writer.close()
            infos.append(
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=[len(part) for part in parts],
                    num_bytes=sum(len(row["video"]) for row in rows),
                    filename_template=template,
                )
            )
        tfds.folder_dataset.write_metadata(
            data_dir=os.fspath(dataset.folder),
            features=features,
            split_infos=infos,
            version="1.0.0",
            check_data=False,
            description="Made by a test.",
        )
        return dataset

    return write


@pytest.fixture(scope="session")
def rows(make_record):
    """Eleven sound records."""
    return [make_record(number) for number in range(11)]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory, write_dataset, rows):
    """A sound data set of eleven training and five validation records; not to be changed."""
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": rows, "validation": rows[:5]})
