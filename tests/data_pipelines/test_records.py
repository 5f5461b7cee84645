import pickle
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import errors, records
from tests.data_pipelines.conftest import CLASS_NAMES


@pytest.fixture
def own(tmp_path, dataset, write_dataset, rows):
    """A data set that the test may damage."""
    return write_dataset(tmp_path, {"train": rows})


def shards(dataset, split="train"):
    return sorted(dataset.folder.glob(f"*{split}.array_record*"))


def test_records_come_back_as_written(dataset, rows):
    source = dataset.open()
    assert len(source) == 11
    assert source.class_names == ("falling", "rising", "turning")
    for index, row in enumerate(rows):
        assert source[index] == row
    with pytest.raises(IndexError, match=r"record 11 of demo/train"):
        source[11]


def test_slices_of_splits(dataset, rows):
    assert [record["video_id"] for record in dataset.open("train[:3]")] == [
        row["video_id"] for row in rows[:3]
    ]
    assert len(dataset.open("train[50%:]")) + len(dataset.open("train[:50%]")) == 11
    assert len(dataset.open("train+validation")) == 16


def test_sources_survive_pickling(dataset):
    source = dataset.open("train[2:5]")
    copy = pickle.loads(pickle.dumps(source))
    assert [copy[i] for i in range(3)] == [source[i] for i in range(3)]


def test_tfds_reads_the_same_data_set(dataset, rows):
    source = tfds.data_source("demo", split="train", data_dir=dataset.data_dir)
    assert source[4]["video"] == rows[4]["video"]


def test_newest_version_is_opened_unless_one_is_named(own):
    shutil.copytree(own.folder, own.folder.with_name("0.9.0"))
    assert records.describe("demo", own.data_dir).version == "1.0.0"
    assert len(records.open_split("demo:1.0.0", "train", own.data_dir)) == 11
    with pytest.raises(errors.DatasetMissingError, match=r"\['0.9.0', '1.0.0'\], not 'demo:3.0.0'"):
        records.open_split("demo:3.0.0", "train", own.data_dir)


def test_missing_data_sets_name_what_there_is_and_the_cure(dataset):
    with pytest.raises(errors.DatasetMissingError, match=r"'other' .*holds \['demo'\]"):
        records.open_split("other", "train", dataset.data_dir)
    data_dir = dataset.data_dir
    command = f"python -m data_pipelines.motions --out={data_dir}"
    with pytest.raises(errors.DatasetMissingError, match=command):
        records.describe("motions", dataset.data_dir)
    with pytest.raises(errors.DatasetMissingError, match="no folder"):
        records.describe("motions", dataset.data_dir / "nowhere")
    command = (
        f"vidtx data build ucf101 --videos=FOLDER --annotations=FILES --out={dataset.data_dir}"
    )
    with pytest.raises(errors.DatasetMissingError, match=command):
        records.describe("ucf101", dataset.data_dir)


@pytest.mark.parametrize("split", ["test", "train[:x]", "", "test[:10%]", "train[:1%]"])
def test_unknown_splits_list_the_known(dataset, split):
    with pytest.raises(errors.UnknownSplitError, match=r"\['train', 'validation'\]"):
        dataset.open(split)


def test_what_lies_beside_data_sets_is_not_called_one(own):
    (own.data_dir / ".motions.lock").touch()
    (own.data_dir / ".cache").mkdir()
    (own.data_dir / "notes.txt").touch()
    with pytest.raises(errors.DatasetMissingError, match=r"it holds \['demo'\]\)"):
        records.describe("other", own.data_dir)


def test_half_built_data_sets_are_damaged(own):
    own.folder.rename(own.folder.with_name("incomplete.4XY_1.0.0"))
    with pytest.raises(errors.DatasetDamagedError, match=r"half-built.*incomplete\.4XY_1\.0\.0"):
        own.open()


def test_a_folder_of_videos_is_no_data_set_and_nobody_is_told_to_delete_it(tmp_path):
    (tmp_path / "mine" / "jump").mkdir(parents=True)
    with pytest.raises(errors.DatasetMissingError, match=r"data\.source=folder") as caught:
        records.open_split("mine", "train", tmp_path)
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_lost_or_garbled_metadata_is_damage(own, name):
    (own.folder / name).write_text("{")
    with pytest.raises(errors.DatasetDamagedError, match=r"delete it\. Build it"):
        own.open()
    (own.folder / name).unlink()
    with pytest.raises(errors.DatasetDamagedError):
        own.open()


def test_missing_shards_are_named(own):
    shards(own)[1].unlink()
    for read in (own.open, lambda: records.describe("demo", own.data_dir)):
        with pytest.raises(errors.DatasetDamagedError, match=r"00001-of-00002 is missing"):
            read()


@pytest.mark.parametrize("keep", [0, 1000, 1 << 16])
def test_truncated_shards_are_named(own, keep):
    shard = shards(own)[0]
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(errors.DatasetDamagedError, match=r"00000-of-00002 should hold 6 records"):
        own.open()


def test_shards_of_another_build_are_named(own, dataset):
    shutil.copy(shards(dataset, "validation")[0], shards(own)[0])
    with pytest.raises(errors.DatasetDamagedError, match=r"00000-of-00002 should hold 6 records"):
        own.open()


def test_other_features_are_not_ours(tmp_path, write_dataset, rows):
    features = tfds.features.FeaturesDict(
        {"video": tfds.features.Scalar(np.object_), "label": np.float32}
    )
    rows = [{"video": row["video"], "label": 1.0} for row in rows]
    dataset = write_dataset(tmp_path, {"train": rows}, features=features)
    with pytest.raises(errors.DatasetDamagedError, match="without video_id"):
        dataset.open()


def test_damaged_records_fail_alone_and_by_name(own, rows):
    own.flip_bytes(rows[3]["video"])
    source = own.open()
    for index in range(11):
        if index == 3:
            with pytest.raises(errors.CorruptRecordError, match="record 3 of demo/train"):
                source[index]
        else:
            assert source[index] == rows[index]


class Row(dict):
    """A record whose size ``write_dataset`` can ask for, though it has no ``video``."""

    def __missing__(self, key):
        return b""


@pytest.mark.parametrize("built", [False, True])
def test_frames_may_be_stored_as_jpegs(tmp_path, write_dataset, make_record, built):
    row = make_record(0)
    del row["video"]
    # Zero bytes at the end must not be taken for padding.
    row["frames"] = [b"one\0", b"two\0\0", b""]
    source = {"source_start": 1.5, "source_end": 2.25, "source_sha256": "ab"} if built else {}
    spoken = [{"start": 0.5, "end": 2.0, "text": "Grüße"}, {"start": 3.0, "end": 4.0, "text": ""}]
    rows = [Row(row | source, captions=captions) for captions in (spoken, [])]
    features = records.features(CLASS_NAMES, storage="jpeg", built=built, captions=True)
    dataset = write_dataset(tmp_path, {"train": rows}, features=features)
    source = dataset.open()
    assert [source[0], source[1]] == rows
    assert len(records.describe("demo", tmp_path).fingerprint) == 64


def test_description(dataset):
    description = records.describe("demo", dataset.data_dir)
    assert description.name == "demo"
    assert description.version == "1.0.0"
    assert description.class_names == ("falling", "rising", "turning")
    assert description.splits == {"train": 11, "validation": 5}
    files = shards(dataset) + shards(dataset, "validation")
    assert description.mirrorable
    assert not description.counts
    assert not description.dropped
    assert description.num_bytes == sum(file.stat().st_size for file in files)


def test_fingerprint_follows_the_content_and_not_the_place(tmp_path, write_dataset, rows, own):
    def fingerprint(folder, rows, **options):
        made = write_dataset(tmp_path / folder, {"train": rows}, **options)
        return records.describe(made.name, made.data_dir).fingerprint

    original = records.describe("demo", own.data_dir).fingerprint
    assert fingerprint("copy", rows) == original
    relabelled = [{**rows[0], "label": 2}, *rows[1:]]
    others = [
        fingerprint("fewer", rows[:-1]),
        fingerprint("reordered", rows[::-1]),
        fingerprint("relabelled", relabelled),
        fingerprint("name", rows, name="other"),
        fingerprint("shards", rows, shards=3),
        fingerprint("classes", rows, features=records.features(["one", "two", "three"])),
    ]
    own.flip_bytes(rows[5]["video"])
    others.append(records.describe("demo", own.data_dir).fingerprint)
    assert len({original, *others}) == 8
