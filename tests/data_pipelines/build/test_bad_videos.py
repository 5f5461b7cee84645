import json
import os
import pathlib

import pytest

from data_pipelines import build, errors, records
from data_pipelines.annotations.entries import Entry


@pytest.fixture
def broken(tmp_path, make_listing):
    """Six sound training videos, and one of each of several kinds of trouble."""
    folder = tmp_path / "broken"
    folder.mkdir()
    sound = make_listing(6, 2)
    data = pathlib.Path(sound.splits["train"][0].path).read_bytes()
    contents = {"text": b"hello" * 99, "cut": data[: len(data) // 2], "empty": b""}
    for name, content in contents.items():
        (folder / f"{name}.mp4").write_bytes(content)
    bad = [Entry(name, os.fspath(folder / f"{name}.mp4"), 0) for name in contents]
    bad += [Entry("absent", None, 1), Entry("gone", os.fspath(folder / "gone.mp4"), 1)]
    bad.append(Entry("a folder", os.fspath(folder), 2))
    return make_listing(splits={**sound.splits, "train": [*sound.splits["train"], *bad]})


def test_too_many_bad_videos_publish_nothing_and_keep_what_is_built(broken, built):
    with pytest.raises(errors.TooManyBadError) as caught:
        build.build(broken, built.out, shards=2, max_bad=0.49)
    message = str(caught.value)
    assert "'train': 6 of 12 listed videos (2 missing_file, 3 undecodable, 1 unreadable)" in message
    assert "undecodable: " in message
    assert "text.mp4" in message
    assert "--max_bad=0.501" in message
    assert "'test'" not in message
    assert not (built.folder / "dataset_info.json").exists()
    with pytest.raises(errors.DatasetDamagedError, match="goes on where it stopped"):
        records.describe("street", built.out)
    note = built.building / "dropped.json"
    assert os.fspath(note) in message
    assert len(json.loads(note.read_text())["train"]) == 6

    said = []
    manifest = build.build(broken, built.out, shards=2, max_bad=0.501, report=said.append)
    assert [one.resumed for one in said] == [14], "nothing was to be built again"
    split = manifest.splits["train"]
    assert (split.listed, split.found, split.missing, split.stored) == (12, 10, 2, 6)
    assert split.dropped == {"missing_file": 2, "undecodable": 3, "unreadable": 1}
    assert {one.video_id for one in split.files} == {
        *("text", "cut", "empty", "absent", "gone", "a folder")
    }
    assert len(built.read()) == 6
    assert built.describe().dropped["train"] == split.dropped
    assert built.describe().fingerprint == manifest.fingerprint


def test_a_shard_may_come_out_empty(built, make_listing):
    sound = make_listing(1, 0).splits["train"]
    missing = [Entry(f"missing {number}", None) for number in range(5)]
    listing = make_listing(splits={"train": [*sound, *missing]})
    manifest = build.build(listing, built.out, shards=6, max_bad=0.9)
    assert list(built.read()) == [sound[0].video_id]
    assert built.describe().splits == {"train": 1}
    assert built.describe().fingerprint == manifest.fingerprint


def test_nothing_at_all_is_never_published(built, make_listing):
    listing = make_listing(splits={"train": [Entry("a", None), Entry("b", None)]})
    with pytest.raises(errors.TooManyBadError, match=r"not one video of a split.*--videos"):
        build.build(listing, built.out, max_bad=1.0)


def test_videos_that_were_found_since_are_built(built, make_listing):
    sound = make_listing(8, 0).splits["train"]
    lost = [*sound[:-1], Entry(sound[-1].video_id, None, sound[-1].label)]
    with pytest.raises(errors.TooManyBadError, match="1 missing_file"):
        build.build(make_listing(splits={"train": lost}), built.out, shards=4)
    said = []
    listing = make_listing(splits={"train": sound}, unlisted=("another.mp4",))
    manifest = build.build(listing, built.out, shards=4, report=said.append)
    assert said[-1].resumed == 6, "shards without the video were not to be built again"
    assert len(built.read()) == 8
    assert (manifest.splits["train"].stored, manifest.unlisted) == (8, 1)


def test_another_build_that_is_unfinished_needs_a_restart(built, make_listing):
    bad = [*make_listing(3, 0).splits["train"], Entry("absent", None)]
    with pytest.raises(errors.TooManyBadError):
        build.build(make_listing(splits={"train": bad}), built.out, shards=2)
    with pytest.raises(errors.BuildConflictError, match="differs in: settings, shards, videos"):
        build.build(make_listing(3, 0), built.out, build.Settings(short_side=32), shards=1)
    manifest = build.build(
        make_listing(3, 0), built.out, build.Settings(short_side=32), shards=1, restart=True
    )
    assert built.describe().fingerprint == manifest.fingerprint
    assert len(list(built.folder.glob("*array_record*"))) == 1, "the other build's were deleted"
    assert {record["height"] for record in built.read().values()} == {32}
