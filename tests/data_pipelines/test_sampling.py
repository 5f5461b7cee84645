import numpy as np
import pytest

from data_pipelines import errors
from data_pipelines.sampling import eval_indices, train_indices


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


def test_wrong_calls_name_the_value():
    with pytest.raises(ValueError, match=r"start_fraction=1\.0"):
        train_indices(9, 25, frames=2, stride=1, start_fraction=1.0)
    with pytest.raises(ValueError, match="short='wrap'"):
        eval_indices(9, 25, frames=2, stride=1, short="wrap")
    with pytest.raises(ValueError, match="views=0"):
        eval_indices(9, 25, frames=2, stride=1, views=0)


def test_wrong_records_are_the_records_fault():
    with pytest.raises(errors.TooFewFramesError, match="num_frames=0"):
        eval_indices(0, 25, frames=2, stride=1)
    with pytest.raises(errors.UndecodableError, match=r"fps=0\.0"):
        eval_indices(9, 0.0, frames=2, stride=1, target_fps=30)
