"""A folder of small videos and what lists them."""

import dataclasses
import os
import pathlib

import pytest

from data_pipelines import records
from data_pipelines.annotations.entries import Entry, Listing

CLASS_NAMES = ("falling", "rising", "turning")


@pytest.fixture(scope="session")
def videos(tmp_path_factory, make_frames, write_video):
    """Twelve video files of 6 to 17 frames, in a folder that must not be changed."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(12):
        data = write_video(make_frames(6 + number, 36, 48, seed=number))
        (folder / f"-clip #{number:02d}.mp4").write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def make_listing(videos):
    """Returns f(train, test, **changes) -> a listing of so many videos of each split."""

    def make(train=6, test=2, name="street", **changes):
        paths = sorted(videos.iterdir())
        entries = [
            Entry(path.stem, os.fspath(path), number % len(CLASS_NAMES))
            for number, path in enumerate(paths)
        ]
        listing = Listing(
            name=name,
            class_names=CLASS_NAMES,
            splits={"train": entries[:train], "test": entries[train : train + test]},
            annotations={"list.csv": "00" * 32},
        )
        return dataclasses.replace(listing, **changes)

    return make


@dataclasses.dataclass
class Built:
    """A data set on disk."""

    name: str
    out: pathlib.Path

    @property
    def folder(self):
        return self.out / self.name / "1.0.0"

    @property
    def building(self):
        return self.folder / ".building"

    def describe(self):
        return records.describe(self.name, self.out)

    def read(self, split="train"):
        """All records of a split, by name, in order."""
        source = records.open_split(self.name, split, self.out)
        found = [source[number] for number in range(len(source))]
        return {record["video_id"]: record for record in found}


@pytest.fixture
def built(tmp_path):
    """The place of a data set ``street`` in a folder that does not exist yet."""
    return Built("street", tmp_path / "data")
