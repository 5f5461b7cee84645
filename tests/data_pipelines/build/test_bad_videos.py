import json
import os
import pathlib

import pytest

from data_pipelines import build, errors, records
from data_pipelines.annotations.entries import Entry
from data_pipelines.build import checks


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


@pytest.mark.parametrize("named", [False, True])
def test_videos_that_were_found_since_are_built(built, make_listing, tmp_path, named):
    *sound, last = make_listing(8, 0).splits["train"]
    away = tmp_path / "away.mp4"  # named at first, and gone by the time it is read
    lost = Entry(last.video_id, os.fspath(away) if named else None, last.label)
    broken = Entry("a folder", os.fspath(tmp_path), 0)
    listing = make_listing(splits={"train": [*sound, lost, broken]})
    with pytest.raises(errors.TooManyBadError, match="1 missing_file, 1 unreadable") as caught:
        build.build(listing, built.out, shards=9, max_bad=0.2)
    assert "mend the others and build anew with --restart" in str(caught.value)
    if named:
        away.write_bytes(pathlib.Path(last.path).read_bytes())
        last = lost
    said = []
    listing = make_listing(splits={"train": [*sound, last, broken]}, unlisted=("another.mp4",))
    manifest = build.build(listing, built.out, shards=9, max_bad=0.2, report=said.append)
    assert said[-1].resumed == 8, "shards without the video were not to be built again"
    assert len(built.read()) == 8
    assert (manifest.splits["train"].stored, manifest.unlisted) == (8, 1)


def test_what_is_missing_is_told_before_anything_is_built(built, make_listing):
    sound = make_listing(6, 0).splits["train"]
    absent = [Entry(f"absent {number}", None) for number in range(12)]
    listing = make_listing(
        splits={"train": sound, "validation": [], "test": absent},
        annotations={"test.csv": "", "train.csv": ""},
    )
    with pytest.raises(errors.TooManyBadError) as caught:
        build.build(listing, built.out, max_bad=1.0)
    message = str(caught.value)
    assert "split 'test': 12 of 12 listed videos (12 missing_file)" in message
    assert "missing_file: absent 9\n  … and 2 more" in message
    cure = "only the annotation files of 'train' in --annotations (now test.csv, train.csv)"
    assert cure in message
    assert "--restart" not in message
    assert "--max_bad=" not in message
    listing = make_listing(splits={"train": [*sound, *absent[:3]]})
    with pytest.raises(errors.TooManyBadError, match=r"(?s)3 of 9 .*this with --max_bad=0\.334"):
        build.build(listing, built.out)
    assert not built.out.exists(), "nothing is left that the next command would stumble over"


def test_the_bound_itself_is_allowed(make_listing):
    # Though products of such numbers are not exact: 100 * 0.29 is less than 29.
    for bad in range(1, 100):
        listed = [Entry(str(number), None if number < bad else "a.mp4") for number in range(100)]
        checks.check_found(make_listing(splits={"train": listed}), float(f"0.{bad:02d}"))
    with pytest.raises(errors.TooManyBadError, match="99 of 100"):
        checks.check_found(make_listing(splits={"train": listed}), 0.98)


def test_only_missing_videos_need_no_restart(built, make_listing, tmp_path):
    gone = [Entry(str(number), os.fspath(tmp_path / f"{number}.mp4")) for number in range(2)]
    listing = make_listing(splits={"train": [*make_listing(2, 0).splits["train"], *gone]})
    with pytest.raises(errors.TooManyBadError) as caught:
        build.build(listing, built.out, workers=1)
    assert "find the missing ones and give the same command again" in str(caught.value)
    assert "--restart" not in str(caught.value)


def test_shards_stay_where_whole_splits_come_and_go(built, make_listing, tmp_path):
    splits = make_listing(6, 2).splits
    gone = [Entry("gone", os.fspath(tmp_path / "gone.mp4"))]
    listing = make_listing(
        splits={"train": splits["train"], "validation": gone},
        annotations={"train.csv": "00", "validation.csv": "11"},
    )
    with pytest.raises(errors.TooManyBadError, match="not one video of a split"):
        build.build(listing, built.out, shards=2)
    said = []
    listing = make_listing(splits=splits, annotations={"train.csv": "00", "test.csv": "22"})
    manifest = build.build(listing, built.out, shards=2, report=said.append)
    assert said[-1].resumed == 6
    assert sorted(manifest.splits) == ["test", "train"]
    assert len(list(built.folder.glob("*array_record*"))) == 4, "not that of the gone split"
    assert (len(built.read()), len(built.read("test"))) == (6, 2)
    assert built.describe().fingerprint == manifest.fingerprint


def test_a_split_that_is_built_is_not_thrown_away(built, make_listing, tmp_path):
    splits = make_listing(2, 1).splits
    splits["train"].append(Entry("gone", os.fspath(tmp_path / "gone.mp4")))
    with pytest.raises(errors.TooManyBadError):
        build.build(make_listing(splits=splits), built.out, shards=1)
    with pytest.raises(errors.BuildConflictError, match="differs in: shards, videos"):
        build.build(make_listing(splits={"test": splits["test"]}), built.out, shards=1)
    assert len(list(built.folder.glob("*array_record*"))) == 2


def test_another_build_that_is_unfinished_needs_a_restart(built, make_listing, tmp_path):
    gone = Entry("gone", os.fspath(tmp_path / "gone.mp4"))
    bad = [*make_listing(3, 0).splits["train"], gone]
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
