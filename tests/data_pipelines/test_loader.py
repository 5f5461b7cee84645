import dataclasses
import shutil
import threading
import time

import numpy as np
import pytest

from data_pipelines import errors, records, sampling, spatial
from data_pipelines.decoding import decode
from data_pipelines.loader import ClipSpec, eval_batches, train_batches

SPEC = ClipSpec(frames=4, stride=2, crop=(24, 32), short_side=(26, 34), eval_short_side=30)


@pytest.fixture(scope="module")
def source(dataset):
    return dataset.open()


@pytest.fixture(scope="module")
def bad_dataset(tmp_path_factory, write_dataset, make_record):
    """Twenty records, four of them unreadable in four ways: 3, 8, 13 and 17."""
    rows = [make_record(number) for number in range(20)]
    rows[8] = {**rows[8], "video": rows[8]["video"][:300]}
    rows[13] = {**rows[13], "num_frames": 500}
    rows[17] = {**rows[17], "video": b"a text, not a video"}
    dataset = write_dataset(tmp_path_factory.mktemp("bad"), {"train": rows})
    dataset.flip_bytes(rows[3]["video"])
    return dataset


def take(count, *arguments, **options):
    with train_batches(*arguments, **options) as batches:
        return [next(batches) for _ in range(count)]


def joined(batches_of_shards):
    """Global batches, from the batches of every shard."""
    return [
        {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        for parts in zip(*batches_of_shards, strict=True)
    ]


def assert_same(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for key in batch:
            np.testing.assert_array_equal(batch[key], other[key], err_msg=key)


def test_train_batches_have_the_stated_shapes(source):
    (batch,) = take(1, source, SPEC, global_batch=6, seed=0)
    found = {key: (value.dtype, value.shape) for key, value in batch.items()}
    assert found == {
        "video": (np.uint8, (6, 4, 24, 32, 3)),
        "label": (np.int32, (6,)),
        "index": (np.int64, (6,)),
        "replaced": (np.int32, (6,)),
    }


@pytest.mark.parametrize("shard_count", [2, 4])
def test_batches_do_not_depend_on_the_number_of_hosts(source, shard_count):
    options = {"global_batch": 8, "seed": 3}
    whole = take(4, source, SPEC, **options)
    shards = [
        take(4, source, SPEC, shard_index=index, shard_count=shard_count, **options)
        for index in range(shard_count)
    ]
    assert_same(joined(shards), whole)


@pytest.mark.parametrize(("first", "second"), [((0, 3), (1, 2)), ((0, 1, 2), (3,))])
def test_a_host_may_read_several_blocks_of_a_batch(source, first, second):
    """As where the chips of a host lie apart in the mesh."""
    options = {"global_batch": 8, "seed": 3, "shard_count": 4, "start_batch": 1}
    blocks = [take(3, source, SPEC, shard_index=block, **options) for block in range(4)]
    for several in (first, second):
        found = take(3, source, SPEC, shard_index=several, **options)
        assert_same(found, joined([blocks[block] for block in several]))


def test_several_blocks_are_judged_too(source):
    options = {"global_batch": 8, "shard_count": 4}

    def judged(blocks):
        with eval_batches(source, SPEC, shard_index=blocks, **options) as batches:
            assert len(batches) == 2
            return list(batches)

    assert_same(judged((1, 3)), joined([judged(1), judged(3)]))


@pytest.mark.parametrize(("threads", "buffer"), [(0, None), (1, 1), (2, 7), (4, None)])
def test_batches_do_not_depend_on_threads(source, threads, buffer):
    options = {"global_batch": 4, "seed": 3, "start_batch": 2}
    expected = take(5, source, SPEC, threads=2, **options)
    assert_same(take(5, source, SPEC, threads=threads, buffer=buffer, **options), expected)


@pytest.mark.parametrize("start_batch", [1, 5])
def test_resuming_continues_the_same_batches(source, start_batch):
    options = {"global_batch": 4, "seed": 3, "shard_index": 1, "shard_count": 2}
    whole = take(7, source, SPEC, threads=2, **options)
    rest = take(7 - start_batch, source, SPEC, threads=1, start_batch=start_batch, **options)
    assert_same(rest, whole[start_batch:])


def test_resuming_far_ahead_takes_no_time(source):
    start = time.monotonic()
    take(1, source, SPEC, global_batch=2, seed=0, start_batch=10**9)
    assert time.monotonic() - start < 5


def test_every_epoch_holds_every_record_once_in_another_order(source):
    epochs = [batch["index"] for batch in take(4, source, SPEC, global_batch=11, seed=5)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(11))
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_seeds_and_epochs_draw_other_clips(source):
    first, second = take(2, source, SPEC, global_batch=11, seed=0)
    (other,) = take(1, source, SPEC, global_batch=11, seed=1)
    for batch in (second, other):
        same = [
            np.array_equal(
                batch["video"][batch["index"] == index], first["video"][first["index"] == index]
            )
            for index in range(11)
        ]
        assert sum(same) <= 2


def test_clips_and_labels_are_the_records_own(source):
    spec = ClipSpec(frames=12, stride=1, crop=(36, 48), short_side=(36, 36), eval_short_side=36)
    (batch,) = take(1, source, spec, global_batch=11, seed=0)
    for video, label, index in zip(batch["video"], batch["label"], batch["index"], strict=True):
        np.testing.assert_array_equal(video, decode.decode_all(source[index]["video"]))
        assert label == source[index]["label"]


def test_evaluation_views_are_those_of_the_parts(source):
    spec = ClipSpec(4, 2, None, (24, 24), (24, 24), 30, temporal_views=3, spatial_crops=3)
    with eval_batches(source, spec, global_batch=4) as batches:
        batch = next(batches)
    assert batch["video"].shape == (4, 9, 4, 24, 24, 3)
    for row in range(4):
        frames = decode.decode_all(source[row]["video"])
        clips = sampling.eval_indices(12, 16, frames=4, stride=2, views=3)
        views = [
            crop
            for clip in clips
            for crop in spatial.eval_crops(frames[clip], short_side=30, crop=(24, 24), crops=3)
        ]
        np.testing.assert_array_equal(batch["video"][row], views)


@pytest.mark.parametrize(
    ("global_batch", "shard_count"),
    [(1, 1), (4, 1), (11, 1), (12, 1), (8, 2), (12, 2), (8, 4), (12, 4), (32, 4)],
)
def test_evaluation_weighs_every_record_once(source, global_batch, shard_count):
    shards = []
    for index in range(shard_count):
        options = {"shard_index": index, "shard_count": shard_count}
        with eval_batches(source, SPEC, global_batch=global_batch, **options) as batches:
            shards.append(list(batches))
            assert len(shards[-1]) == len(batches) == batches.num_batches
    whole = joined(shards)
    weight, order, failed = (
        np.concatenate([batch[key] for batch in whole]) for key in ("weight", "index", "failed")
    )
    assert weight.sum() == 11
    np.testing.assert_array_equal(order[:11], np.arange(11))
    assert (order[11:] == -1).all()
    assert not weight[11:].any()
    assert not failed.any()
    assert all(len(batch["label"]) == global_batch for batch in whole)


def test_unreadable_training_records_are_replaced_and_counted(bad_dataset):
    source = bad_dataset.open()
    options = {"global_batch": 20, "seed": 0, "max_bad": 1.0}
    with train_batches(source, SPEC, **options) as batches:
        first = [next(batches) for _ in range(3)]
        failures, examples = batches.failures, batches.examples
    indices = np.concatenate([batch["index"] for batch in first])
    assert not {3, 8, 13, 17} & set(indices.tolist())
    # Every epoch meets each of the four at least once; replacements may be unreadable too.
    assert all(batch["replaced"].sum() >= 4 for batch in first)
    assert set(failures) == {"corrupt_record", "undecodable", "too_few_frames"}
    assert failures.total() == sum(batch["replaced"].sum() for batch in first) == len(examples)
    named = {failure.index: failure.video_id for failure in examples}
    assert named == {3: None, 8: "clip_008", 13: "clip_013", 17: "clip_017"}

    assert_same(take(3, source, SPEC, threads=3, **options), first)
    shards = [take(3, source, SPEC, shard_index=p, shard_count=2, **options) for p in range(2)]
    assert_same(joined(shards), first)
    assert_same(take(1, source, SPEC, start_batch=2, **options), first[2:])


def test_too_many_unreadable_records_stop_training(bad_dataset):
    with pytest.raises(errors.DataQualityError, match=r"above max_bad=0.01") as caught:
        take(100, bad_dataset.open(), SPEC, global_batch=4, seed=0)
    for words in (
        "undecodable",
        "corrupt_record",
        "record 8 (clip_008)",
        "record 3 (name unknown)",
    ):
        assert words in str(caught.value)


def test_a_few_unreadable_records_do_not(bad_dataset):
    batches = take(20, bad_dataset.open(), SPEC, global_batch=20, seed=0, max_bad=0.5)
    assert len(batches) == 20
    with pytest.raises(errors.DataQualityError, match="max_bad=0"):
        take(20, bad_dataset.open(), SPEC, global_batch=20, seed=0, max_bad=0.0)


def test_a_wholly_unreadable_data_set_stops_at_once(tmp_path, write_dataset, make_record):
    rows = [{**make_record(number), "video": b"nothing"} for number in range(4)]
    source = write_dataset(tmp_path, {"train": rows}).open()
    with pytest.raises(errors.DataQualityError, match=r"8 records .* in a row(.|\n)*clip_00"):
        take(1, source, SPEC, global_batch=2, seed=0, max_bad=1.0)


def test_unreadable_evaluation_records_weigh_nothing_and_are_counted(bad_dataset):
    with eval_batches(bad_dataset.open(), SPEC, global_batch=8) as batches:
        found = list(batches)
        assert batches.failures == {"undecodable": 2, "corrupt_record": 1, "too_few_frames": 1}
        assert [failure.index for failure in batches.examples] == [3, 8, 13, 17]
    weight, order, failed = (
        np.concatenate([batch[key] for batch in found]) for key in ("weight", "index", "failed")
    )
    np.testing.assert_array_equal(order[:20], np.arange(20))
    np.testing.assert_array_equal(np.flatnonzero(failed), [3, 8, 13, 17])
    np.testing.assert_array_equal(weight, (order >= 0) - failed.astype(np.float32))


def test_views_that_do_not_all_count_come_with_their_weights(source):
    spec = ClipSpec(4, 2, None, (24, 24), (24, 24), 30, temporal_views=3, spatial_crops=3)
    spec = dataclasses.replace(spec, temporal_position="cover")
    with eval_batches(source, spec, global_batch=4) as batches:
        found = list(batches)
    weights = np.concatenate([batch["view_weight"] for batch in found])
    assert (weights.dtype, weights.shape) == (np.float32, (12, 9))
    # Twelve frames hold two clips that span seven each, of three crops; the last row is padding.
    np.testing.assert_array_equal(weights[:11].sum(axis=1), 6)
    assert not weights[11].any()


def test_shards_that_are_gone_meanwhile_stop_training_by_their_name(tmp_path, dataset):
    shutil.copytree(dataset.folder, tmp_path / dataset.name / "1.0.0")
    source = records.open_split(dataset.name, "train", tmp_path)
    for path in (tmp_path / dataset.name / "1.0.0").glob("*array_record*"):
        path.unlink()
    with pytest.raises(errors.DataQualityError, match=r"8 records(.|\n)*array_record-0000"):
        take(1, source, SPEC, global_batch=2, seed=0, max_bad=1.0)


class CountingSource:
    """Any object with a length and records is a source; this one counts what is read of it."""

    name, class_names = "counting", ("one",)
    single_label, multi_label = True, False

    def __init__(self, record, fail_at=None):
        self.record, self.fail_at, self.reads = record, fail_at, 0

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        self.reads += 1
        record = dict(self.record)
        if self.reads == self.fail_at:
            del record["fps"]
        return record


def test_reading_ahead_is_bounded(rows):
    source = CountingSource(rows[0])
    with train_batches(source, SPEC, global_batch=2, seed=0, threads=1, buffer=3) as batches:
        next(batches)
        time.sleep(0.5)
        assert source.reads <= 2 * (1 + 3)
        next(batches)


def test_closing_ends_the_reading_threads(source):
    def readers():
        return [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]

    with train_batches(source, SPEC, global_batch=2, seed=0, threads=3) as batches:
        next(batches)
        assert readers()
    deadline = time.monotonic() + 10
    while readers() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not readers()
    batches.close()


def test_errors_that_are_no_video_errors_name_the_record_too(rows):
    source = CountingSource(rows[0], fail_at=3)
    with pytest.raises(KeyError) as caught:
        take(4, source, SPEC, global_batch=2, seed=0, threads=1)
    assert any("(clip_000)" in note for note in caught.value.__notes__)


def test_wrong_calls_name_value_and_bound(source):
    options = {"seed": 0, "global_batch": 6}
    with pytest.raises(ValueError, match=r"global_batch=6 .* multiple of shard_count=4"):
        train_batches(source, SPEC, shard_count=4, **options)
    with pytest.raises(ValueError, match="shard_index=2"):
        eval_batches(source, SPEC, global_batch=6, shard_index=2, shard_count=2)
    with pytest.raises(ValueError, match=r"shard_index=\(0, 3\)"):
        eval_batches(source, SPEC, global_batch=6, shard_index=(0, 3), shard_count=3)
    with pytest.raises(ValueError, match="seed=-1"):
        train_batches(source, SPEC, global_batch=6, seed=-1)
    with pytest.raises(errors.DataError, match="holds no records"):
        train_batches([], SPEC, **options)
    with train_batches(source, SPEC, **options) as batches, pytest.raises(TypeError):
        len(batches)


def test_impossible_specifications_are_refused_all_at_once():
    with pytest.raises(ValueError, match="frames is 0") as caught:
        ClipSpec(frames=0, stride=0, short="mirror", spatial_crops=2, target_fps=0)
    for problem in ("stride is 0", "short is mirror", "spatial_crops is 2", "target_fps is 0"):
        assert problem in str(caught.value)
    with pytest.raises(ValueError, match=r"short_side is \(200, 320\).*crop's shorter side, 224"):
        ClipSpec(short_side=(200, 320))
    with pytest.raises(ValueError, match="eval_short_side is 100"):
        ClipSpec(eval_short_side=100)
