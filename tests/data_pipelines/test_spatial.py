import cv2
import numpy as np
import pytest

from data_pipelines.spatial import (
    cut,
    draw_short_side,
    eval_crops,
    eval_windows,
    random_crop_resize,
    random_window,
)


def pictures(height, width, num_frames=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (num_frames, height, width, 3), np.uint8)


def ramp(height, width):
    """Red grows down by 2 a pixel, green grows right by 2; resizing keeps both linear."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([2 * rows, 2 * columns, 0 * rows], -1).astype(np.uint8)[None]


@pytest.mark.parametrize("size", [(48, 48), (32, 80), (80, 32)])
def test_fitting_videos_pass_through_unchanged(size):
    frames = pictures(*size)
    clip = random_crop_resize(frames, short_side=min(size), crop=size, position=(0.3, 0.9))
    np.testing.assert_array_equal(clip, frames)
    np.testing.assert_array_equal(eval_crops(frames, short_side=min(size), crop=size)[0], frames)


def test_crops_at_the_source_resolution_are_not_resampled():
    frames = pictures(40, 60)
    clip = random_crop_resize(frames, short_side=40, crop=(32, 24), position=(0.5, 0.0))
    np.testing.assert_array_equal(clip, frames[:, 4:36, 0:24])
    left, centre, right = eval_crops(frames, short_side=40, crop=(40, 40), crops=3)
    np.testing.assert_array_equal(left, frames[:, :, :40])
    np.testing.assert_array_equal(centre, frames[:, :, 10:50])
    np.testing.assert_array_equal(right, frames[:, :, 20:])


def test_three_crops_go_down_upright_videos():
    frames = pictures(60, 40)
    top, centre, bottom = eval_crops(frames, short_side=40, crop=(32, 32), crops=3)
    np.testing.assert_array_equal(top, frames[:, :32, 4:36])
    np.testing.assert_array_equal(centre, frames[:, 14:46, 4:36])
    np.testing.assert_array_equal(bottom, frames[:, 28:, 4:36])


def test_positions_reach_both_corners_and_every_place_between():
    frames = pictures(36, 36)
    corners = set()
    for fraction in np.linspace(0, 1 - 1e-9, 50):
        clip = random_crop_resize(frames, short_side=36, crop=(32, 32), position=(fraction, 0.0))
        match = [np.array_equal(clip, frames[:, top : top + 32, :32]) for top in range(5)]
        corners.add(match.index(True))
    assert corners == set(range(5))


@pytest.mark.parametrize("short_side", [64, 96, 100])
def test_cropping_first_shows_what_resizing_first_shows(short_side):
    frames = ramp(96, 120)
    crop = eval_crops(frames, short_side=short_side, crop=(64, 64))[0, 0].astype(float)
    size = (round(120 * short_side / 96), short_side)
    whole = cv2.resize(frames[0], size, interpolation=cv2.INTER_LINEAR)
    top, left = (whole.shape[0] - 64) // 2, (whole.shape[1] - 64) // 2
    # Windows are rounded to whole source pixels, so to within one of them: a ramp of 2.
    np.testing.assert_allclose(crop, whole[top : top + 64, left : left + 64], atol=2.5)


def test_strong_shrinking_averages_instead_of_skipping():
    frames = np.zeros((1, 256, 256, 3), np.uint8)
    frames[:, ::4] = 255  # lines that bilinear sampling would drop or turn to stripes
    clip = eval_crops(frames, short_side=32, crop=(32, 32))[0]
    assert np.ptp(clip) <= 2
    assert abs(clip.mean() - 255 / 4) < 2


def test_rectangular_crops_that_do_not_fit_enlarge_the_video():
    frames = ramp(40, 50)
    clip = random_crop_resize(frames, short_side=40, crop=(40, 100), position=(0.0, 0.0))
    assert clip.shape == (1, 40, 100, 3)
    steps = np.diff(clip[0, 20, 5:95, 1].astype(float)).mean(), np.diff(clip[0, 5:35, 50, 0]).mean()
    # Twice enlarged in both directions: proportions are kept.
    np.testing.assert_allclose(steps, (1, 1), atol=0.05)


@pytest.mark.parametrize("size", [(37, 51), (240, 320), (16, 16), (100, 1000)])
@pytest.mark.parametrize("crop", [(32, 32), (24, 48)])
def test_any_size_gives_the_crop_asked_for(size, crop):
    frames = pictures(*size)
    clip = random_crop_resize(frames, short_side=33, crop=crop, position=(0.99, 0.99))
    assert clip.shape == (2, *crop, 3)
    assert clip.dtype == np.uint8
    assert clip.flags.c_contiguous
    assert eval_crops(frames, short_side=33, crop=crop, crops=3).shape == (3, 2, *crop, 3)


def test_other_numbers_of_crops_are_refused():
    with pytest.raises(ValueError, match="crops=2"):
        eval_crops(pictures(8, 8), short_side=8, crop=(8, 8), crops=2)


@pytest.mark.parametrize("draw", ["uniform", "inverse"])
def test_short_sides_are_drawn_between_the_bounds(draw):
    rng = np.random.default_rng(0)
    drawn = np.array([draw_short_side((256, 320), rng, draw) for _ in range(8000)])
    assert (drawn.min(), drawn.max()) == (256, 320)
    values = drawn if draw == "uniform" else 1 / drawn
    edges = np.linspace(values.min(), values.max(), 5)
    shares = np.histogram(values, edges)[0] / len(drawn)
    np.testing.assert_allclose(shares, 0.25, atol=0.03)
    # Their means tell the two apart.
    expected = {"uniform": 288.0, "inverse": np.log(320 / 256) / (1 / 256 - 1 / 320)}[draw]
    assert abs(drawn.mean() - expected) < 0.8


def test_the_inverse_draw_is_the_published_formula():
    values = np.random.default_rng(5).random(500)
    published = [round(1.0 / (1 / 320 + (1 / 256 - 1 / 320) * value)) for value in values]
    rng = np.random.default_rng(5)
    assert [draw_short_side((256, 320), rng, "inverse") for _ in range(500)] == published


def test_bounds_that_are_equal_leave_nothing_to_draw():
    rng = np.random.default_rng(0)
    assert {draw_short_side((47, 47), rng, draw) for draw in ("uniform", "inverse")} == {47}
    with pytest.raises(ValueError, match="draw='normal'"):
        draw_short_side((1, 2), rng, "normal")


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (33, 200)])
def test_windows_say_what_crops_show(size):
    frames, options = pictures(*size), {"short_side": 40, "crop": (32, 24)}
    window = random_window(size, position=(0.4, 0.8), **options)
    assert 0 <= window.top <= window.top + window.height <= size[0]
    assert 0 <= window.left <= window.left + window.width <= size[1]
    clip = random_crop_resize(frames, position=(0.4, 0.8), **options)
    np.testing.assert_array_equal(clip, cut(frames, window, (32, 24)))
    windows = eval_windows(size, crops=3, **options)
    crops = eval_crops(frames, crops=3, **options)
    for window, crop in zip(windows, crops, strict=True):
        np.testing.assert_array_equal(crop, cut(frames, window, (32, 24)))
    tops, lefts = {window.top for window in windows}, {window.left for window in windows}
    assert (len(tops), len(lefts)) == ((3, 1) if size[0] > size[1] else (1, 3))
