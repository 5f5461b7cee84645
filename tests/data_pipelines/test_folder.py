"""Folders of videos as they are, read without a build."""

import os
import pickle

import numpy as np
import pytest

from data_pipelines import errors
from data_pipelines.decoding import decode
from data_pipelines.folder import FolderDataset
from data_pipelines.loader import ClipSpec, eval_batches, train_batches

SPEC = ClipSpec(frames=4, stride=2, crop=(24, 32), short_side=(26, 34), eval_short_side=30)
CLASSES = ("left turn", "right #2", "straight")


@pytest.fixture(scope="module")
def clips(make_frames, write_video):
    """Seven encoded videos of as many lengths."""
    return [write_video(make_frames(8 + number, 36, 48, seed=number)) for number in range(7)]


def write(root, names, clips):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clips[number % len(clips)])


@pytest.fixture
def with_splits(tmp_path, clips):
    names = [f"train/{CLASSES[number % 3]}/v{number}.mp4" for number in range(12)]
    names += [f"val/{name}/-v {name}.mp4" for name in CLASSES]
    write(tmp_path / "turns", names, clips)
    return FolderDataset("turns", tmp_path)


def test_records_are_those_of_the_files(with_splits, tmp_path):
    source = with_splits.open_split("train")
    assert (len(source), source.class_names) == (12, CLASSES)
    for _ in range(2):  # the second time from what it remembers
        for index in range(12):
            record = source[index]
            path = tmp_path / "turns" / record["video_id"]
            assert record["video"] == path.read_bytes()
            assert CLASSES[record["label"]] == path.parent.name
            found = [record[key] for key in ("num_frames", "height", "width", "fps")]
            info = decode.probe(record["video"])
            assert found == [info.num_frames, info.height, info.width, info.fps]
    with pytest.raises(IndexError):
        source[12]


def test_clips_do_not_depend_on_threads_or_on_the_copy_of_the_source(with_splits):
    source = with_splits.open_split("train")
    copy = pickle.loads(pickle.dumps(source))
    options = {"global_batch": 8, "seed": 1}
    with train_batches(source, SPEC, threads=0, **options) as batches:
        expected = [next(batches) for _ in range(3)]
    with train_batches(copy, SPEC, threads=3, **options) as batches:
        for other in expected:
            batch = next(batches)
            for key in other:
                np.testing.assert_array_equal(batch[key], other[key])


def test_slices_hold_every_class(tmp_path, clips):
    names = [f"train/{name}/{number}.mp4" for name in "abcd" for number in range(20)]
    write(tmp_path / "many", names, clips)
    dataset = FolderDataset("many", tmp_path)
    parts = [dataset.open_split(split) for split in ("train[:25%]", "train[25%:]", "train")]
    seen = [[part[index]["video_id"] for index in range(len(part))] for part in parts]
    assert seen[0] + seen[1] == seen[2]
    assert len(seen[0]) == 20
    assert {parts[0][index]["label"] for index in range(20)} == {0, 1, 2, 3}
    again = FolderDataset("many", tmp_path).open_split("train[:25%]")
    assert [again[index]["video_id"] for index in range(20)] == seen[0]


def test_a_folder_without_splits_holds_some_videos_out(tmp_path, clips):
    write(tmp_path / "plain", [f"{name}/{n}.mp4" for name in "ab" for n in range(30)], clips)
    dataset = FolderDataset("plain", tmp_path)
    train, test = dataset.open_split("train"), dataset.open_split("test")
    ids = [{source[index]["video_id"] for index in range(len(source))} for source in (train, test)]
    assert len(train) + len(test) == len(ids[0] | ids[1]) == 60
    assert 1 <= len(test) <= 20
    assert dataset.describe().splits == {"test": len(test), "train": len(train)}
    assert len(dataset.open_split("train+test")) == 60


@pytest.mark.parametrize("split", ["validaton", "train[12:]", "train[:5", "validation[3:]"])
def test_unknown_and_empty_splits_are_told_with_those_there_are(with_splits, split):
    with pytest.raises(errors.UnknownSplitError, match=r"has splits \['train', 'validation'\]"):
        with_splits.open_split(split)


def test_what_is_no_such_folder_is_told_with_what_is_expected(tmp_path, clips):
    with pytest.raises(errors.DatasetMissingError, match=r"nowhere.*does not exist"):
        FolderDataset("nowhere", tmp_path)
    write(tmp_path / "flat", ["a.mp4", "b.mp4"], clips)
    with pytest.raises(errors.DatasetMissingError, match=r"CLASS/clip\.mp4"):
        FolderDataset("flat", tmp_path)


def test_unusable_files_are_counted_by_kind_and_named(with_splits, tmp_path):
    source = with_splits.open_split("train+validation")
    places = {source[index]["video_id"]: index for index in range(len(source))}
    source = with_splits.open_split("train+validation")  # one that remembers nothing
    folder = tmp_path / "turns" / "train" / CLASSES[0]
    (folder / "v0.mp4").write_bytes(b"a text, not a video")
    (folder / "v3.mp4").unlink()
    (folder / "v6.mp4").unlink()
    (folder / "v6.mp4").mkdir()
    with eval_batches(source, SPEC, global_batch=5) as batches:
        found = list(batches)
        assert batches.failures == {"undecodable": 1, "missing_file": 1, "unreadable": 1}
        named = {failure.index: failure.message for failure in batches.examples}
    bad = [places[f"train/{CLASSES[0]}/v{number}.mp4"] for number in (0, 3, 6)]
    for index, number in zip(bad, (0, 3, 6), strict=True):
        assert os.fspath(folder / f"v{number}.mp4") in named[index]
    weight = np.concatenate([batch["weight"] for batch in found])
    np.testing.assert_array_equal(np.flatnonzero(weight == 0), sorted(bad))


def test_the_fingerprint_is_of_names_classes_sizes_and_samples(with_splits, tmp_path, clips):
    def fingerprint():
        return FolderDataset("turns", tmp_path).describe().fingerprint

    description = with_splits.describe()
    assert description.splits == {"train": 12, "validation": 3}
    assert (description.class_names, description.single_label) == (CLASSES, True)
    seen = {description.fingerprint}
    assert fingerprint() in seen
    root = tmp_path / "turns"
    os.utime(root / "train" / CLASSES[0] / "v0.mp4", (0, 0))
    assert fingerprint() in seen, "the time of a file does not matter, as copying changes it"
    path = root / "train" / CLASSES[1] / "v1.mp4"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert fingerprint() not in seen
    seen.add(fingerprint())
    path.rename(root / "train" / CLASSES[2] / "v1.mp4")
    assert fingerprint() not in seen
    seen.add(fingerprint())
    write(root, ["val/straight/new.mp4"], clips)
    assert fingerprint() not in seen


def test_the_command_that_makes_it_faster_is_one_that_builds_takes(tmp_path, clips):
    write(tmp_path / "My Videos", ["train/a/1.mp4"], clips)
    command = FolderDataset("My Videos", tmp_path).build_command
    folder, out = f"--videos='{tmp_path}/My Videos'", f"--out={tmp_path}"
    assert command == f"vidtx data build folder {folder} {out} --name=my_videos_built"
