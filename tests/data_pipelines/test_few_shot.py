"""A few videos of each class: which ones, from records and from files, and what is refused."""

import collections
import pickle

import numpy as np
import pytest

from data_pipelines import errors
from data_pipelines.few_shot import TooFewVideosError, few_of_each_class
from data_pipelines.folder import FolderDataset
from data_pipelines.loader import ClipSpec, train_batches
from tests.data_pipelines.conftest import CLASS_NAMES

SPEC = ClipSpec(frames=4, stride=2, crop=(24, 32), short_side=(26, 34), eval_short_side=30)


def row(number, label):
    return {
        # No media: whatever decoded one of these would fail.
        "video": np.random.default_rng(number).bytes(256),
        "video_id": f"v{number}",
        "label": label,
        "num_frames": 12,
        "height": 36,
        "width": 48,
        "fps": 16.0,
    }


@pytest.fixture(scope="module")
def split(tmp_path_factory, write_dataset):
    """Returns f(labels) -> the train split of a data set with these, of videos that cannot be."""

    def make(labels):
        rows = [row(number, label) for number, label in enumerate(labels)]
        return write_dataset(tmp_path_factory.mktemp("data"), {"train": rows}).open()

    return make


@pytest.fixture(scope="module")
def source(split):
    return split([number % 3 for number in range(150)])


def labels_of(chosen):
    return collections.Counter(chosen.label(index) for index in range(len(chosen)))


@pytest.mark.parametrize("per_class", [1, 5, 50])
def test_so_many_of_each_class(source, per_class):
    chosen = few_of_each_class(source, per_class, seed=0)
    assert len(chosen) == 3 * per_class
    assert labels_of(chosen) == {0: per_class, 1: per_class, 2: per_class}
    assert list(chosen.records) == sorted(set(chosen.records))
    assert [chosen[i] for i in range(3)] == [source[record] for record in chosen.records[:3]]
    assert chosen.class_names == CLASS_NAMES
    assert repr(chosen) == f"demo/train, {per_class} of each class by seed 0"
    with pytest.raises(IndexError, match=rf"record {3 * per_class} of demo/train, {per_class} of"):
        chosen[3 * per_class]


def test_the_seed_decides_and_fewer_are_a_part_of_more(source):
    few = {seed: few_of_each_class(source, 2, seed).records for seed in range(6)}
    assert len(set(few.values())) == 6
    for seed, records in few.items():
        assert few_of_each_class(source, 2, seed).records == records
        assert set(records) < set(few_of_each_class(source, 7, seed).records)
    # For ever: a run that is resumed with other versions of everything goes on with these.
    assert few[0] == (61, 92, 110, 111, 126, 148)


def test_any_record_may_be_chosen(source):
    seen = set().union(*(few_of_each_class(source, 2, seed).records for seed in range(150)))
    assert len(seen) > 140


def test_classes_that_have_fewer_are_all_named(split):
    with pytest.raises(TooFewVideosError) as caught:
        few_of_each_class(split([0] * 9 + [2] * 4), 5, seed=3)
    message = str(caught.value)
    assert (
        "of 2 of the 3 classes demo/train has fewer videos: 'rising' (0), 'turning' (4)" in message
    )
    assert isinstance(caught.value, errors.DatasetMissingError)  # ends a run as wrong use


def test_what_has_no_class_or_cannot_be_read_is_passed_over(tmp_path, write_dataset):
    rows = [row(number, number % 4 - 1) for number in range(40)]
    dataset = write_dataset(tmp_path, {"train": rows})
    broken = rows[few_of_each_class(dataset.open(), 1, seed=1).records[0]]
    dataset.flip_bytes(broken["video"])
    with pytest.raises(errors.CorruptRecordError):
        dataset.open()[rows.index(broken)]
    chosen = few_of_each_class(dataset.open(), 5, seed=1)
    assert labels_of(chosen) == {0: 5, 1: 5, 2: 5}
    assert rows.index(broken) not in chosen.records


def test_a_folder_tells_classes_without_a_look_at_its_files(tmp_path):
    for number in range(30):
        path = tmp_path / "mine" / "train" / f"class {number % 3}" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no video")
    (tmp_path / "mine" / "test").mkdir()
    (tmp_path / "mine" / "test" / "class 0").mkdir()
    (tmp_path / "mine" / "test" / "class 0" / "t.mp4").write_bytes(b"no video")
    source = FolderDataset("mine", tmp_path).open_split("train")
    for path in (tmp_path / "mine" / "train").rglob("*.mp4"):
        path.unlink()
    chosen = few_of_each_class(source, 4, seed=0)
    assert labels_of(chosen) == {0: 4, 1: 4, 2: 4}


def test_batches_hold_the_chosen_alone_and_do_not_depend_on_threads(dataset, rows):
    chosen = few_of_each_class(dataset.open(), 2, seed=0)
    copy = pickle.loads(pickle.dumps(chosen))
    options = {"global_batch": 4, "seed": 1}
    with train_batches(chosen, SPEC, threads=0, **options) as batches:
        expected = [next(batches) for _ in range(3)]
    # Twelve clips are two epochs of six.
    assert collections.Counter(np.concatenate([b["index"] for b in expected])) == dict.fromkeys(
        range(6), 2
    )
    labels = np.concatenate([batch["label"] for batch in expected])
    assert collections.Counter(labels) == {0: 4, 1: 4, 2: 4}
    with train_batches(copy, SPEC, threads=3, start_batch=1, **options) as batches:
        for other in expected[1:]:
            batch = next(batches)
            for key in other:
                np.testing.assert_array_equal(batch[key], other[key])
