"""A small built data set to be audited, and a copy of it to be damaged."""

import shutil

import pytest

from data_pipelines.annotations import Entry, Listing
from data_pipelines.build import Settings, build
from tests.data_pipelines.audit.damages import CLASS_NAMES


@pytest.fixture(scope="session")
def listing(tmp_path_factory, make_frames, write_video):
    """Six videos to train on and three to judge on, of half a second to a second and a half."""
    folder = tmp_path_factory.mktemp("videos")
    entries = []
    for number in range(9):
        path = folder / f"clip_{number}.mp4"
        path.write_bytes(write_video(make_frames(15 * (1 + number % 3), 32, 48, seed=number)))
        entries.append(Entry(f"clip_{number}", str(path), number % 3))
    return Listing("demo", CLASS_NAMES, {"train": entries[:6], "test": entries[6:]})


@pytest.fixture(scope="session")
def whole(tmp_path_factory, listing):
    """The folder of a sound data set; not to be changed."""
    out = tmp_path_factory.mktemp("data")
    build(listing, out, Settings(short_side=16), shards=2, workers=1)
    return out / "demo" / "1.0.0"


@pytest.fixture
def folder(tmp_path, whole):
    """A copy of it, to be damaged."""
    shutil.copytree(whole.parent, tmp_path / "demo")
    return tmp_path / "demo" / "1.0.0"
