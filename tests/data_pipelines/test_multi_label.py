import json
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import errors, labels, loader, records
from data_pipelines.digests import CONTENT_DIGESTS

CLASS_NAMES = ("falling", "rising", "turning", "waving")
# Of each record; one of no class, one that names a class twice.
LABELS = [[0], [], [3, 1], [0, 1, 2, 3], [2, 2], [1]]
SPEC = loader.ClipSpec(frames=4, stride=2, crop=(24, 32), short_side=(26, 34), eval_short_side=30)


def multi_hot(numbers):
    return [int(number in numbers) for number in range(len(CLASS_NAMES))]


def features_of_both(labels_feature):
    single = records.features(CLASS_NAMES)
    return tfds.features.FeaturesDict({**dict(single.items()), "labels": labels_feature})


@pytest.fixture(scope="module")
def videos(make_record):
    """Records with one label and with any number of them."""
    return [{**make_record(number), "labels": own} for number, own in enumerate(LABELS)]


@pytest.fixture(scope="module")
def write(tmp_path_factory, write_dataset):
    """Returns f(rows, features) -> Dataset, with the features' part of each row."""

    def write(rows, features):
        splits = {"train": [{key: row[key] for key in features} for row in rows]}
        return write_dataset(tmp_path_factory.mktemp("data"), splits, features=features)

    return write


@pytest.fixture(scope="module")
def multi(write, videos):
    """A sound data set of six videos with any number of labels; not to be changed."""
    return write(videos, records.features(CLASS_NAMES, multi_label=True))


@pytest.fixture(scope="module")
def both(write, videos):
    """The same videos with one label and, as plain numbers, with any number of them."""
    return write(videos, features_of_both(tfds.features.Sequence(np.int64)))


def describe(dataset):
    return records.describe(dataset.name, dataset.data_dir)


def take(source, count=1, **options):
    with loader.train_batches(source, SPEC, global_batch=6, seed=0, **options) as batches:
        return [next(batches) for _ in range(count)]


def judged(source, **options):
    with loader.eval_batches(source, SPEC, global_batch=4, **options) as batches:
        return list(batches)


def test_features_hold_either_kind_of_label():
    assert "labels" not in records.features(CLASS_NAMES)
    declared = records.features(CLASS_NAMES, multi_label=True)
    assert "label" not in declared
    assert declared["labels"].feature.names == list(CLASS_NAMES)


def test_records_come_back_as_written(multi, videos):
    source = pickle.loads(pickle.dumps(multi.open()))
    assert (source.class_names, source.multi_label, source.single_label) == (
        CLASS_NAMES, True, False
    )  # fmt: skip
    assert [list(source[index]["labels"]) for index in range(6)] == LABELS
    assert source[3]["video"] == videos[3]["video"]


def test_descriptions_say_which_labels_there_are(multi, both, dataset):
    found = [(d.single_label, d.multi_label) for d in map(describe, (multi, both, dataset))]
    assert found == [(False, True), (True, True), (True, False)]
    assert describe(multi).class_names == describe(both).class_names == CLASS_NAMES


def test_labels_of_something_else_are_left_out(write, videos):
    for feature in (
        tfds.features.Sequence(tfds.features.ClassLabel(names=["a", "b", "c", "d"])),
        tfds.features.Sequence(np.float32),
        tfds.features.Tensor(shape=(2,), dtype=np.int64),
    ):
        numbers = [[0.0, 1.0] if feature.np_dtype == np.float32 else [0, 1]] * len(videos)
        here = [{**row, "labels": own} for row, own in zip(videos, numbers, strict=True)]
        found = describe(write(here, features_of_both(feature)))
        assert (found.single_label, found.multi_label) == (True, False)
        assert found.class_names == CLASS_NAMES


def test_labels_without_names_are_no_data_set_of_ours(write, videos):
    single = dict(records.features(CLASS_NAMES).items())
    del single["label"]
    for feature in (np.int64, tfds.features.Text()):
        declared = tfds.features.FeaturesDict({**single, "labels": tfds.features.Sequence(feature)})
        numbers = ["one"] if feature is not np.int64 else [1]
        dataset = write([{**row, "labels": numbers} for row in videos], declared)
        with pytest.raises(errors.DatasetDamagedError, match="without label"):
            dataset.open()


def test_training_batches_are_multi_hot(multi):
    (batch,) = take(multi.open(), multi_label=True)
    assert "label" not in batch
    assert (batch["labels"].dtype, batch["labels"].shape) == (np.uint8, (6, 4))
    assert sorted(batch["index"]) == list(range(6))
    for found, index in zip(batch["labels"].tolist(), batch["index"], strict=True):
        assert found == multi_hot(LABELS[index])


def test_evaluation_batches_are_multi_hot_and_padding_is_zeros(multi):
    batches = judged(multi.open(), multi_label=True)
    found = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
    assert "label" not in found
    assert found["labels"].dtype == np.uint8
    assert found["labels"].tolist() == [multi_hot(own) for own in LABELS] + [[0] * 4] * 2
    # A video of no class is judged as any other.
    assert found["weight"].tolist() == [1] * 6 + [0] * 2
    assert found["failed"].tolist() == [0] * 8


def test_clips_do_not_depend_on_which_labels_are_read(both):
    source = both.open()
    for one, other in (
        (take(source, 2), take(source, 2, multi_label=True)),
        (judged(source), judged(source, multi_label=True)),
    ):
        for single, multi in zip(one, other, strict=True):
            assert set(single) ^ set(multi) == {"label", "labels"}
            for key in set(single) & set(multi):
                np.testing.assert_array_equal(single[key], multi[key])


def test_labels_do_not_depend_on_hosts_threads_or_a_resume(multi):
    source = multi.open()
    whole = take(source, 3, multi_label=True)
    shards = [
        take(source, 2, multi_label=True, shard_index=p, shard_count=2, start_batch=1, threads=p)
        for p in range(2)
    ]
    for batch, *parts in zip(whole[1:], *shards, strict=True):
        joined = np.concatenate([part["labels"] for part in parts])
        np.testing.assert_array_equal(joined, batch["labels"])


def test_unreadable_and_wrongly_labelled_records_are_counted(write, videos):
    spoilt = [dict(row) for row in videos]
    spoilt[0]["video"] = b"not a video"
    spoilt[2]["labels"] = [3, -1]
    dataset = write(spoilt, records.features(CLASS_NAMES, multi_label=True))
    with loader.eval_batches(dataset.open(), SPEC, global_batch=6, multi_label=True) as batches:
        (batch,) = batches
        assert batches.failures == {"undecodable": 1, "no_label": 1}
        message = str(batches.examples[1])
    assert "record 2 (clip_002)" in message
    assert "labels are [3, -1], not all of them in 0 … 3" in message
    assert batch["weight"].tolist() == [0, 1, 0, 1, 1, 1]
    assert batch["failed"].tolist() == [1, 0, 1, 0, 0, 0]
    assert not batch["labels"][[0, 2]].any()
    trained = take(dataset.open(), 2, multi_label=True, max_bad=1.0)
    assert not {0, 2} & {int(index) for batch in trained for index in batch["index"]}


@pytest.mark.parametrize("read", [take, judged])
def test_the_other_kind_of_labels_is_refused_with_the_cure(read, multi, dataset):
    with pytest.raises(labels.LabelsMissingError, match=r"set data\.multi_label=True") as caught:
        read(multi.open())
    assert "'demo' has any number of classes a video" in str(caught.value)
    with pytest.raises(labels.LabelsMissingError, match=r"set data\.multi_label=False, or give"):
        read(dataset.open(), multi_label=True)
    # To a caller it is a data set that is not there.
    assert isinstance(caught.value, errors.DatasetMissingError)


def test_fingerprints_follow_the_labels(write, videos, multi):
    declared = records.features(CLASS_NAMES, multi_label=True)
    assert describe(write(videos, declared)).fingerprint == describe(multi).fingerprint
    other = [{**videos[0], "labels": [0, 2]}, *videos[1:]]
    assert describe(write(other, declared)).fingerprint != describe(multi).fingerprint


def test_the_fingerprint_of_one_label_a_video_is_what_it_was(write, videos):
    """Noted before there were others: runs know their data by it."""
    dataset = write(videos, records.features(CLASS_NAMES))
    noted = json.dumps({CONTENT_DIGESTS: {"train": "of the content"}})
    (dataset.folder / "metadata.json").write_text(noted)
    golden = "ef3d052989d52433e6c32bfb83574c505074d2dd399f35b6952183a86b53a64f"
    assert describe(dataset).fingerprint == golden
