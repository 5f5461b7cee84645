"""Clips of records one by one: sampling and augmentation together, and what explains a clip."""

import dataclasses

import cv2
import numpy as np
import pytest

from data_pipelines import errors, sampling, spatial
from data_pipelines.augmentation.rand_augment import Operation, apply
from data_pipelines.clips import ClipSpec, EvalClips, TrainClips
from data_pipelines.decoding import decode

SPEC = ClipSpec(frames=4, stride=2, crop=(24, 32), short_side=(26, 34), eval_short_side=30)
EVERYTHING = {
    "rand_augment": 2,
    "rand_augment_magnitude": 7.0,
    "color_jitter": 0.4,
    "erase": 0.5,
    "short_side_draw": "inverse",
}


@pytest.fixture(scope="module")
def source(dataset):
    return dataset.open()


class Listed:
    """Records of a list, as a split gives them."""

    name, split, class_names, single_label = "listed", "train", ("a", "b", "c"), True

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def rng(seed):
    return np.random.default_rng(seed)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])


@pytest.mark.parametrize("sampled", ["stride", "span", "segments"])
@pytest.mark.parametrize("augmented", [{}, EVERYTHING])
def test_a_training_clip_is_explained_by_its_parts(source, sampled, augmented):
    spec = dataclasses.replace(SPEC, sampling=sampled, **augmented)
    clips = TrainClips(source, spec)
    erased = 0
    for index in range(6):
        made, trace = clips(index, rng(index)), clips.explain(index, rng(index))
        np.testing.assert_array_equal(trace.clip, made["video"])
        assert (trace.index, trace.targets) == (index, {"label": made["label"]})
        assert trace.video_id == source[index]["video_id"]
        whole = decode.decode_all(source[index]["video"])
        np.testing.assert_array_equal(trace.frames, whole[trace.frame_numbers])
        np.testing.assert_array_equal(trace.times, trace.frame_numbers / 16)
        assert 26 <= trace.short_side <= 34
        expected = spatial.cut(trace.frames, trace.window, (24, 32))
        assert len(trace.operations) >= (5 if augmented else 0)
        for words in trace.operations:
            if words.startswith("erase"):
                erased += 1
                continue
            name, *value = words.split()
            value = map(int if name == "posterize" else float, value)
            expected = apply(expected, [Operation(name, *value)])
        if not trace.operations:
            np.testing.assert_array_equal(trace.clip, expected)
        elif not any(words.startswith("erase") for words in trace.operations):
            # Values are told to three digits.
            assert np.abs(trace.clip.astype(int) - expected).mean() < 2
    assert erased == 0 if not augmented else 0 < erased < 6


def test_the_plain_clip_s_draws_are_what_a_seed_has_always_meant(source):
    clips = TrainClips(source, SPEC)
    for seed in range(5):
        draws = rng(seed)
        start, *position = draws.random(3)
        short_side = draws.integers(26, 35)
        numbers = sampling.train_indices(12, 16, frames=4, stride=2, start_fraction=start)
        frames = decode.decode_frames(source[2]["video"], numbers)
        expected = spatial.random_crop_resize(
            frames, short_side=short_side, crop=(24, 32), position=position
        )
        np.testing.assert_array_equal(clips(2, rng(seed))["video"], expected)


def test_options_that_are_off_leave_the_other_draws_as_they_were(source):
    plain = TrainClips(source, SPEC)
    for option, value in {**EVERYTHING, "sampling": "segments"}.items():
        changed = TrainClips(source, dataclasses.replace(SPEC, **{option: value}))
        for index in range(4):
            before, after = plain.explain(index, rng(index)), changed.explain(index, rng(index))
            if option != "sampling":
                np.testing.assert_array_equal(after.frame_numbers, before.frame_numbers)
            if option != "short_side_draw":
                assert after.window == before.window


def test_a_clip_is_a_function_of_its_generator(source):
    clips = TrainClips(source, dataclasses.replace(SPEC, **EVERYTHING))
    assert_same(clips(3, rng(5)), clips(3, rng(5)))
    assert not np.array_equal(clips(3, rng(5))["video"], clips(3, rng(6))["video"])


def test_augmentation_treats_all_frames_of_a_clip_alike(make_record):
    record = make_record(0)
    still = cv2.imencode(".png", decode.decode_all(record["video"])[0])[1].tobytes()
    record = {**record, "frames": [still] * 12}
    del record["video"]
    clips = TrainClips(Listed([record]), dataclasses.replace(SPEC, **EVERYTHING))
    for seed in range(12):
        video = clips(0, rng(seed))["video"]
        np.testing.assert_array_equal(video, np.repeat(video[:1], 4, 0))


def test_segments_reach_over_the_whole_video(source):
    clips = TrainClips(source, dataclasses.replace(SPEC, sampling="segments"))
    drawn = np.array([clips.explain(0, rng(seed)).frame_numbers for seed in range(60)])
    # Of 12 frames, segments between 0, 3, 6 (5.5), 8 and 11.
    np.testing.assert_array_equal(drawn.min(0), [0, 3, 6, 8])
    np.testing.assert_array_equal(drawn.max(0), [3, 6, 8, 11])
    (trace,) = EvalClips(source, dataclasses.replace(SPEC, sampling="segments")).explain(0)
    np.testing.assert_array_equal(trace.frame_numbers, [1, 4, 7, 9])


@pytest.mark.parametrize("short", ["repeat_last", "loop"])
@pytest.mark.parametrize("sampled", ["stride", "span"])
def test_videos_shorter_than_a_clip(source, sampled, short):
    spec = dataclasses.replace(SPEC, frames=8, stride=3, sampling=sampled, short=short)
    numbers = TrainClips(source, spec).explain(0, rng(0)).frame_numbers
    (view,) = EvalClips(source, spec).explain(0)
    np.testing.assert_array_equal(numbers, view.frame_numbers)
    assert numbers[0] == 0
    if short == "repeat_last":
        assert numbers[-1] == numbers[-2] == 11
    else:
        assert numbers[-1] < 12
        assert (np.diff(numbers) < 0).any()


def test_unreadable_records_are_replaced_in_the_explanation_too(make_record):
    rows = [make_record(number) for number in range(4)]
    rows[1] = {**rows[1], "video": b"no video"}
    rows[2] = {**rows[2], "label": -1}
    clips = TrainClips(Listed(rows), SPEC)
    made, trace = clips(1, rng(0)), clips.explain(1, rng(0))
    assert made["replaced"] == len(made["failures"]) >= 1
    assert made["failures"][0].kind == "undecodable"
    assert trace.index == made["index"] in (0, 3)
    np.testing.assert_array_equal(trace.clip, made["video"])
    views = EvalClips(Listed(rows), SPEC)
    with pytest.raises(errors.UndecodableError):
        views.explain(1)
    with pytest.raises(errors.NoLabelError):
        views.explain(2)
    with pytest.raises(IndexError):
        views.explain(4)


@pytest.mark.parametrize("position", ["middle", "start", "cover"])
@pytest.mark.parametrize("sampled", ["stride", "span"])
def test_evaluation_s_views_are_explained_by_their_parts(source, sampled, position):
    spec = dataclasses.replace(
        SPEC,
        frames=2,
        stride=2,
        crop=(24, 24),
        spatial_crops=3,
        temporal_views=2,
        sampling=sampled,
        temporal_position=position,
    )
    views = EvalClips(source, spec)
    element, traces = views(4), views.explain(4)
    assert element["video"].shape == (6, 2, 24, 24, 3)
    assert len(traces) == 6
    for view, trace in zip(element["video"], traces, strict=True):
        np.testing.assert_array_equal(view, trace.clip)
        np.testing.assert_array_equal(view, spatial.cut(trace.frames, trace.window, (24, 24)))
        assert trace.short_side == 30
        assert trace.operations == ()
    numbers = np.array([trace.frame_numbers for trace in traces])
    expected = sampling.eval_indices(
        12, 16, frames=2, stride=2, sampling=sampled, position=position, views=2
    )
    np.testing.assert_array_equal(numbers, expected.repeat(3, 0))  # over time, then space
    assert ("view_weight" in element) == (position == "cover")


def test_views_that_a_video_does_not_need_weigh_nothing(source):
    options = {"temporal_position": "cover", "temporal_views": 3, "spatial_crops": 1}
    # Of 12 frames: two clips of 2 × 4, three of 2 × 2, four of 2 × 1.5.
    for stride, target_fps, used in ((4, None, 2), (2, None, 3), (3, 32.0, 3), (9, None, 1)):
        spec = dataclasses.replace(SPEC, frames=2, stride=stride, target_fps=target_fps, **options)
        element = EvalClips(source, spec)(0)
        assert element["view_weight"].dtype == np.float32
        np.testing.assert_array_equal(element["view_weight"], np.arange(3) < used)
        assert (element["video"][used:] == 0).all()
        assert all(view.any() for view in element["video"][:used])
        assert len(EvalClips(source, spec).explain(0)) == used
    padding = EvalClips(source, spec)(len(source))
    assert padding["weight"] == 0
    assert not padding["view_weight"].any()


def test_records_of_jpegs_give_the_clips_of_their_pictures(make_record):
    video = make_record(0)
    frames = decode.decode_all(video["video"])
    stored = [cv2.imencode(".png", frame[..., ::-1])[1].tobytes() for frame in frames]
    jpeg = {key: value for key, value in video.items() if key != "video"} | {"frames": stored}
    for make in (
        lambda row: TrainClips(Listed([row]), SPEC)(0, rng(1)),
        lambda row: EvalClips(Listed([row]), dataclasses.replace(SPEC, temporal_views=2))(0),
    ):
        assert_same(make(jpeg), make(video))


def test_impossible_options_are_refused_all_at_once():
    wrong = {
        "sampling": "random",
        "temporal_position": "end",
        "short_side_draw": "normal",
        "rand_augment": -1,
        "rand_augment_magnitude": 11.0,
        "color_jitter": -0.5,
        "erase": 1.5,
    }
    with pytest.raises(ValueError, match="sampling is random") as caught:
        ClipSpec(**wrong)
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == list(wrong)
    for line, value in zip(lines, wrong.values(), strict=True):
        assert f" is {value}; it " in line


def test_views_that_are_decoded_apart_are_the_same(dataset, monkeypatch):
    """Many views of large pictures would not fit in memory together."""
    spec = dataclasses.replace(SPEC, temporal_views=3, spatial_crops=3)
    together = EvalClips(dataset.open(), spec)(2)
    monkeypatch.setattr("data_pipelines.clips._HELD_BYTES", 1)
    apart = EvalClips(dataset.open(), spec)(2)
    np.testing.assert_array_equal(apart["video"], together["video"])
    assert apart["weight"] == together["weight"] == 1


@pytest.mark.parametrize(
    "option", [{"target_fps": 1e-300}, {"target_fps": 1e9}, {"stride": 10**30}]
)
def test_absurd_times_are_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"{name} is .*; it must"):
        dataclasses.replace(SPEC, **option)
