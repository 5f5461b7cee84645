import numpy as np
import pytest

from data_pipelines import errors
from data_pipelines.sampling import eval_indices, segment_indices, train_indices


@pytest.mark.parametrize("num_frames", range(1, 60))
@pytest.mark.parametrize(("frames", "stride"), [(8, 4), (8, 1), (5, 3), (1, 7)])
def test_middle_clip_is_symmetric_under_time_reversal(num_frames, frames, stride):
    span = (frames - 1) * stride + 1
    indices = eval_indices(num_frames, 16, frames=frames, stride=stride)
    assert indices.shape == (1, frames)
    if num_frames >= span and (num_frames - span) % 2 == 0:
        np.testing.assert_array_equal(indices[0], num_frames - 1 - indices[0, ::-1])


def test_views_spread_from_first_to_last_start():
    indices = eval_indices(100, 25, frames=4, stride=5, views=4)
    np.testing.assert_array_equal(indices[:, 0], [0, 28, 56, 84])
    np.testing.assert_array_equal(indices[0], [0, 5, 10, 15])
    assert indices[-1, -1] == 99


def test_training_starts_are_equally_likely_and_reach_both_ends():
    fractions = (np.arange(3000) + 0.5) / 3000
    starts = [
        train_indices(20, 25, frames=4, stride=2, start_fraction=fraction)[0]
        for fraction in fractions
    ]
    values, counts = np.unique(starts, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(14))  # the last start shows frame 19
    assert counts.max() - counts.min() <= 1


def test_stride_counts_frames_of_the_source():
    indices = train_indices(100, 60, frames=5, stride=7, start_fraction=0.0)
    np.testing.assert_array_equal(indices, [0, 7, 14, 21, 28])


def test_stride_counts_frames_of_the_clock_given_target_fps():
    options = {"frames": 4, "stride": 4, "target_fps": 30, "start_fraction": 0.0}
    np.testing.assert_array_equal(train_indices(300, 60, **options), [0, 8, 16, 24])
    np.testing.assert_array_equal(train_indices(300, 15, **options), [0, 2, 4, 6])
    np.testing.assert_array_equal(train_indices(300, 29.97, **options), [0, 4, 8, 12])
    np.testing.assert_array_equal(train_indices(300, 12, **options), [0, 2, 3, 5])


@pytest.mark.parametrize(
    ("short", "expected"), [("repeat_last", [0, 2, 4, 4, 4]), ("loop", [0, 2, 4, 1, 3])]
)
def test_short_videos(short, expected):
    options = {"frames": 5, "stride": 2, "short": short}
    np.testing.assert_array_equal(train_indices(5, 25, start_fraction=0.9, **options), expected)
    views = eval_indices(5, 25, views=2, **options)
    np.testing.assert_array_equal(views, [expected, expected])


@pytest.mark.parametrize("short", ["repeat_last", "loop"])
@pytest.mark.parametrize("num_frames", [1, 2, 7, 33, 250])
@pytest.mark.parametrize("target_fps", [None, 7.3, 30])
def test_indices_lie_within_the_video(num_frames, short, target_fps):
    options = {"frames": 8, "stride": 4, "target_fps": target_fps, "short": short}
    for fraction in (0.0, 0.5, 1 - 2**-53):
        indices = train_indices(num_frames, 29.97, start_fraction=fraction, **options)
        assert indices.dtype == np.int64
        assert 0 <= indices.min() <= indices.max() < num_frames
    for views in (1, 2, 5):
        indices = eval_indices(num_frames, 29.97, views=views, **options)
        assert indices.shape == (views, 8)
        assert 0 <= indices.min() <= indices.max() < num_frames


# Video and clip, fraction of the start; what ``torch.linspace`` (2.13), clamped and cut to whole
# numbers, gives. In double precision the third and fourth differ by one frame.
SPANS = [
    ((300, 30, 8, 32), 0.0, [0, 36, 72, 109, 145, 182, 218, 255]),
    ((250, 25, 8, 32), 0.0, [0, 30, 60, 91, 121, 151, 182, 212]),
    (
        (300, 15, 16, 16),
        0.1,
        [17, 25, 34, 42, 51, 59, 68, 76, 84, 93, 101, 110, 118, 127, 135, 144],
    ),
    (
        (300, 12, 16, 4),
        0.75,
        [205, 207, 209, 210, 212, 214, 215, 217, 218, 220, 222, 223, 225, 227, 228, 230],
    ),
    ((200, 30, 8, 32), 0.9, [0, 36, 72, 109, 145, 182, 199, 199]),
]


@pytest.mark.parametrize(("clip", "fraction", "expected"), SPANS)
def test_span_is_the_published_code_s_spacing(clip, fraction, expected):
    num_frames, fps, frames, stride = clip
    options = {"frames": frames, "stride": stride, "target_fps": 30, "sampling": "span"}
    found = train_indices(num_frames, fps, start_fraction=fraction, **options)
    np.testing.assert_array_equal(found, expected)
    if fraction == 0.0:
        (view,) = eval_indices(num_frames, fps, position="start", **options)
        np.testing.assert_array_equal(view, expected)


def test_a_long_clip_of_a_short_video_repeats_its_tail():
    (found,) = eval_indices(300, 30, frames=96, stride=4, sampling="span", position="start")
    assert len(set(found.tolist())) == 76
    assert (found[75:] == 299).all()
    (looped,) = eval_indices(
        300, 30, frames=96, stride=4, sampling="span", position="start", short="loop"
    )
    assert looped[-1] == 383 - 300
    assert np.diff(looped).min() < 0


def test_span_starts_anywhere_between_the_first_frame_and_the_last_that_fits():
    options = {"frames": 4, "stride": 5, "sampling": "span"}
    starts = [
        train_indices(50, 25, start_fraction=fraction, **options)[0]
        for fraction in (np.arange(3000) + 0.5) / 3000
    ]
    values, counts = np.unique(starts, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(30))
    assert counts.max() - counts.min() <= 1


def test_span_in_the_middle_and_spread():
    options = {"frames": 4, "stride": 5, "sampling": "span"}
    np.testing.assert_array_equal(eval_indices(40, 25, **options), [[10, 16, 22, 29]])
    spread = eval_indices(40, 25, views=3, **options)
    np.testing.assert_array_equal(spread[:, 0], [0, 10, 20])
    assert spread[-1, -1] == 39


@pytest.mark.parametrize("sampling", ["stride", "span"])
def test_views_of_the_published_code_start_at_shares_of_the_last_start(sampling):
    options = {"frames": 4, "stride": 5, "sampling": sampling, "position": "start"}
    assert eval_indices(100, 25, **options)[0, 0] == 0
    last = {"stride": 84, "span": 80}[sampling]
    found = eval_indices(100, 25, views=10, **options)[:, 0]
    np.testing.assert_array_equal(found, [last * view // 10 for view in range(10)])


@pytest.mark.parametrize("num_frames", [1, 2, 5, 8, 9, 17, 41, 300])
@pytest.mark.parametrize("frames", [1, 3, 8, 16])
def test_segments_are_the_published_code_s(num_frames, frames):
    size = (num_frames - 1) / frames
    bounds = [(round(size * i), round(size * (i + 1))) for i in range(frames)]
    middle = segment_indices(num_frames, frames)
    assert middle.dtype == np.int64
    assert middle.tolist() == [(first + last) // 2 for first, last in bounds]
    low, high = np.zeros(frames), np.full(frames, 1 - 2**-53)
    assert segment_indices(num_frames, frames, low).tolist() == [first for first, _ in bounds]
    assert segment_indices(num_frames, frames, high).tolist() == [last for _, last in bounds]


def test_segments_round_halves_to_the_even_neighbour():
    # Bounds 0, .5, 1, 1.5, 2, 2.5, 3, 3.5, 4.
    assert segment_indices(5, 8, np.zeros(8)).tolist() == [0, 0, 1, 2, 2, 2, 3, 4]


def test_frames_of_a_segment_are_equally_likely():
    rng = np.random.default_rng(0)
    drawn = np.array([segment_indices(21, 4, rng.random(4)) for _ in range(6000)])
    for number, first in enumerate((0, 5, 10, 15)):
        values, counts = np.unique(drawn[:, number], return_counts=True)
        np.testing.assert_array_equal(values, np.arange(first, first + 6))
        assert counts.min() > 850
    # Each segment is drawn by itself.
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.05


@pytest.mark.parametrize("num_frames", [1, 3, 31, 32, 33, 100, 160])
@pytest.mark.parametrize("target_fps", [None, 30])
def test_covering_clips_hold_every_stride_once(num_frames, target_fps):
    options = {"frames": 4, "stride": 8, "target_fps": target_fps, "position": "cover"}
    found = eval_indices(num_frames, 15, views=99, **options)
    step = 8 if target_fps is None else 4
    assert len(found) == -(-num_frames // (4 * step))
    expected = np.arange(found.size).reshape(found.shape) * step
    np.testing.assert_array_equal(found, np.minimum(expected, num_frames - 1))
    assert (found[:, 0] < num_frames).all()  # no clip is all repeats
    looped = eval_indices(num_frames, 15, views=99, short="loop", **options)
    np.testing.assert_array_equal(looped, expected % num_frames)


def test_covering_spans_lie_one_directly_behind_the_other():
    options = {"frames": 4, "stride": 5, "sampling": "span", "position": "cover"}
    found = eval_indices(70, 25, views=9, **options)
    np.testing.assert_array_equal(found[:, 0], [0, 20, 40, 60])
    np.testing.assert_array_equal(found[:3, -1], [19, 39, 59])
    assert found[-1, -1] == 69


@pytest.mark.parametrize("sampling", ["stride", "span"])
def test_of_more_covering_clips_than_are_taken_some_are_spread_evenly(sampling):
    options = {"frames": 4, "stride": 5, "sampling": sampling, "position": "cover"}
    every = eval_indices(200, 25, views=99, **options)
    assert len(every) == 10
    for views, chosen in ((1, [4]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, range(10))):
        found = eval_indices(200, 25, views=views, **options)
        np.testing.assert_array_equal(found, every[list(chosen)])


@pytest.mark.parametrize("short", ["repeat_last", "loop"])
@pytest.mark.parametrize("sampling", ["stride", "span"])
@pytest.mark.parametrize("target_fps", [None, 7.3, 500.0])
def test_indices_lie_within_the_video_at_any_position(sampling, target_fps, short):
    options = {
        "frames": 6,
        "stride": 3,
        "target_fps": target_fps,
        "short": short,
        "sampling": sampling,
    }
    for num_frames in (1, 2, 7, 33, 250):
        found = [
            eval_indices(num_frames, 29.97, views=views, position=position, **options)
            for position in ("middle", "start", "cover")
            for views in (1, 2, 5)
        ]
        found += [
            train_indices(num_frames, 29.97, start_fraction=fraction, **options)
            for fraction in (0.0, 0.5, 1 - 2**-53)
        ]
        for indices in found:
            assert indices.dtype == np.int64
            assert indices.shape[-1] == 6
            assert 0 <= indices.min() <= indices.max() < num_frames


def test_wrong_calls_name_the_value():
    with pytest.raises(ValueError, match=r"start_fraction=1\.0"):
        train_indices(9, 25, frames=2, stride=1, start_fraction=1.0)
    with pytest.raises(ValueError, match="short='wrap'"):
        eval_indices(9, 25, frames=2, stride=1, short="wrap")
    with pytest.raises(ValueError, match="views=0"):
        eval_indices(9, 25, frames=2, stride=1, views=0)
    with pytest.raises(ValueError, match="position='end'"):
        eval_indices(9, 25, frames=2, stride=1, position="end")
    for indices in (eval_indices, train_indices):
        start = {"start_fraction": 0.0} if indices is train_indices else {}
        with pytest.raises(ValueError, match="sampling='segments' must be 'stride' or 'span'"):
            indices(9, 25, frames=2, stride=1, sampling="segments", **start)
    for fractions in ([0.1], [0.1, 1.0], [0.1, -0.1]):
        with pytest.raises(ValueError, match=r"fractions=.*2 numbers"):
            segment_indices(9, 2, fractions)


def test_wrong_records_are_the_records_fault():
    with pytest.raises(errors.TooFewFramesError, match="num_frames=0"):
        eval_indices(0, 25, frames=2, stride=1)
    with pytest.raises(errors.TooFewFramesError, match="num_frames=0"):
        segment_indices(0, 8)
    with pytest.raises(errors.UndecodableError, match=r"fps=0\.0"):
        eval_indices(9, 0.0, frames=2, stride=1, target_fps=30)
