"""Colours, displacements, RandAugment, colour jitter and random erasing on uint8 clips."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from data_pipelines.augmentation import color, geometry
from data_pipelines.augmentation.erase import draw_erasure, erase
from data_pipelines.augmentation.rand_augment import (
    RAND_AUGMENT,
    Operation,
    apply,
    draw_color_jitter,
    draw_rand_augment,
)

GREY = np.array([0.299, 0.587, 0.114])


def smooth(num_frames=3, height=40, width=56, seed=0):
    """Pictures without noise, so that moving them by a fraction changes little."""
    noise = np.random.default_rng(seed).integers(0, 256, (num_frames * height, width, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 4).astype(float)
    blurred = (blurred - blurred.min()) / np.ptp(blurred) * 200 + 20
    return blurred.astype(np.uint8).reshape(num_frames, height, width, 3)


def still(num_frames=3):
    """One picture, again and again."""
    return np.repeat(smooth(1), num_frames, 0)


def rounded(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("factor", [0.0, 0.1, 0.6, 1.0, 1.7, 3.0])
def test_factors_are_blends(factor):
    clip = smooth()
    np.testing.assert_array_equal(color.brightness(clip, factor), rounded(factor * clip))
    mean = (clip @ GREY).mean()
    blend = factor * clip.astype(float) + (1 - factor) * mean
    np.testing.assert_allclose(color.contrast(clip, factor), rounded(blend), atol=1)
    grey = (clip @ GREY)[..., None]
    blend = factor * clip.astype(float) + (1 - factor) * grey
    np.testing.assert_allclose(color.saturation(clip, factor), rounded(blend), atol=1)
    mean = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    around = sum(
        mean[i, j] * np.roll(clip.astype(float), (1 - i, 1 - j), (1, 2))
        for i in range(3)
        for j in range(3)
    )
    blend = factor * clip.astype(float) + (1 - factor) * around
    blend[:, [0, -1]], blend[:, :, [0, -1]] = clip[:, [0, -1]], clip[:, :, [0, -1]]
    np.testing.assert_allclose(color.sharpness(clip, factor), rounded(blend), atol=1)
    if factor == 1.0:
        for function in (color.brightness, color.contrast, color.saturation, color.sharpness):
            np.testing.assert_array_equal(function(clip, factor), clip)


def test_posterize_and_solarize():
    clip = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    np.testing.assert_array_equal(color.posterize(clip, 3), clip // 32 * 32)
    np.testing.assert_array_equal(color.posterize(clip, 8), clip)
    np.testing.assert_array_equal(color.solarize(clip, 256), clip)
    np.testing.assert_array_equal(color.solarize(clip, 0), 255 - clip)
    found = color.solarize(clip, 100)
    np.testing.assert_array_equal(found, np.where(clip < 100, clip, 255 - clip))


def test_auto_contrast_stretches_each_channel_over_the_whole_clip():
    clip = smooth()
    clip[..., 2] = 77
    found = color.auto_contrast(clip)
    for channel in range(2):
        values = clip[..., channel].astype(float)
        low, high = values.min(), values.max()
        expected = rounded((values - low) * 255 / (high - low))
        np.testing.assert_allclose(found[..., channel], expected, atol=1)
        assert (found[..., channel].min(), found[..., channel].max()) == (0, 255)
    np.testing.assert_array_equal(found[..., 2], 77)


def test_equalize_makes_values_about_equally_frequent():
    clip = smooth(8, 64, 64)
    found = color.equalize(clip)
    for channel in range(3):
        # A value becomes the share of the clip's that are below it.
        values, ranks = np.sort(clip[..., channel], axis=None), clip[..., channel]
        below = np.searchsorted(values, ranks, "left") / values.size * 255
        np.testing.assert_allclose(found[..., channel], below, atol=5)
        assert found[..., channel].max() == 255
    flat = np.full((2, 5, 5, 3), 9, np.uint8)
    np.testing.assert_array_equal(color.equalize(flat), flat)


def test_translations_move_pictures_and_fill_with_grey():
    clip = smooth(2, 40, 60)
    right = geometry.translate_x(clip, 0.25)
    np.testing.assert_array_equal(right[:, :, 15:], clip[:, :, :45])
    assert (right[:, :, :14] == 128).all()
    up = geometry.translate_y(clip, -0.5)
    np.testing.assert_array_equal(up[:, :20], clip[:, 20:])
    assert (up[:, 21:] == 128).all()


def test_rotations_are_counter_clockwise_about_the_centre():
    clip = smooth(2, 41, 41)
    turned = geometry.rotate(clip, 90.0)
    np.testing.assert_allclose(turned, np.rot90(clip, axes=(1, 2)), atol=1)
    back = geometry.rotate(geometry.rotate(clip, 20.0), -20.0)[:, 14:27, 14:27]
    np.testing.assert_allclose(back, clip[:, 14:27, 14:27].astype(int), atol=6)


def test_shears_leave_the_centre_and_move_the_rest_along_one_axis():
    clip = smooth(2, 41, 41)
    found = geometry.shear_x(clip, 0.5)
    np.testing.assert_array_equal(found[:, 20], clip[:, 20])
    np.testing.assert_array_equal(found[:, 30, 5:], clip[:, 30, :36])  # 10 below: 5 to the right
    np.testing.assert_array_equal(found[:, 10, :36], clip[:, 10, 5:])
    found = geometry.shear_y(clip, 0.5)
    np.testing.assert_array_equal(found[:, 5:, 30], clip[:, :36, 30])


@pytest.mark.parametrize("name", RAND_AUGMENT)
def test_every_frame_is_treated_alike_and_the_given_clip_is_left_alone(name):
    value = RAND_AUGMENT[name]
    operation = Operation(name, None if value is None else value(0.9, 1))
    clip = still()
    before = clip.copy()
    found = apply(clip, [operation])
    np.testing.assert_array_equal(clip, before)
    assert found.dtype == np.uint8
    assert found.shape == clip.shape
    np.testing.assert_array_equal(found, np.repeat(found[:1], len(found), 0))
    if name != "identity":
        assert not np.array_equal(found, clip)


@pytest.mark.parametrize("name", [name for name, value in RAND_AUGMENT.items() if value])
def test_magnitude_zero_changes_nothing_and_ten_the_most(name):
    clip = smooth().astype(int)
    change = [
        np.abs(apply(clip.astype(np.uint8), [Operation(name, RAND_AUGMENT[name](m, -1))]) - clip)
        for m in (0.0, 0.5, 1.0)
    ]
    assert change[0].max() == 0
    assert 0 < change[1].mean() < change[2].mean()


def test_the_fourteen_operations_of_the_paper_are_drawn_equally_often_with_either_sign():
    rng = np.random.default_rng(0)
    drawn = [op for _ in range(3500) for op in draw_rand_augment(4, 9.0, rng)]
    names, counts = np.unique([operation.name for operation in drawn], return_counts=True)
    assert set(names) == set(RAND_AUGMENT)
    assert len(names) == 14
    np.testing.assert_allclose(counts, 1000, atol=120)
    values = {name: {op.value for op in drawn if op.name == name} for name in RAND_AUGMENT}
    assert values["identity"] == values["equalize"] == values["auto_contrast"] == {None}
    assert sorted(values["rotate"]) == [-27.0, 27.0]
    assert sorted(values["shear_x"]) == sorted(values["shear_y"]) == pytest.approx([-0.27, 0.27])
    assert sorted(values["translate_y"]) == pytest.approx([-0.9 * 150 / 331, 0.9 * 150 / 331])
    for name in ("color", "contrast", "brightness", "sharpness"):
        assert sorted(values[name]) == pytest.approx([0.19, 1.81])
    assert values["posterize"] == {4}
    assert list(values["solarize"]) == pytest.approx([25.6])
    assert "flip" not in " ".join(names)
    turns = [operation.value > 0 for operation in drawn if operation.name == "rotate"]
    assert 0.42 < np.mean(turns) < 0.58


def test_operations_say_what_they_do():
    assert str(Operation("rotate", -27.0)) == "rotate -27"
    assert str(Operation("equalize")) == "equalize"


def test_colour_jitter_draws_three_factors_in_any_order():
    rng = np.random.default_rng(0)
    drawn = [draw_color_jitter(0.4, rng) for _ in range(1200)]
    orders, counts = np.unique(
        [[operation.name for operation in ops] for ops in drawn], axis=0, return_counts=True
    )
    assert len(orders) == 6
    assert counts.min() > 140
    for name in ("brightness", "contrast", "color"):
        factors = np.array([op.value for ops in drawn for op in ops if op.name == name])
        assert len(factors) == 1200
        assert 0.6 <= factors.min() < 0.61 < 1.39 < factors.max() <= 1.4
    assert min(op.value for op in draw_color_jitter(3.0, rng)) >= 0


def test_erasing_fills_one_rectangle_in_all_frames_alike():
    clip = smooth(4, 48, 64)
    rng = np.random.default_rng(1)
    areas, aspects = [], []
    for _ in range(300):
        window, noise = draw_erasure(1.0, (48, 64), rng)
        top, left, height, width = window
        assert 0 <= top <= top + height <= 48
        assert 0 <= left <= left + width <= 64
        areas.append(height * width / (48 * 64))
        aspects.append(height / width)
        found = erase(clip, (window, noise))
        inside = np.zeros((48, 64), bool)
        inside[top : top + height, left : left + width] = True
        np.testing.assert_array_equal(found[:, ~inside], clip[:, ~inside])
        np.testing.assert_array_equal(found[:, inside], np.repeat(found[:1, inside], 4, 0))
    assert 0.015 < min(areas) < 0.05 < 0.35 < max(areas) < 0.42
    assert min(aspects) > 0.25
    assert 100 < noise.mean() < 155
    assert noise.std() > 60
    np.testing.assert_array_equal(clip, smooth(4, 48, 64))


def test_a_share_of_the_clips_is_erased():
    rng = np.random.default_rng(0)
    erased = [draw_erasure(0.25, (32, 32), rng) is not None for _ in range(2000)]
    assert 0.22 < np.mean(erased) < 0.28
    assert all(draw_erasure(0.0, (32, 32), rng) is None for _ in range(20))


def test_rectangles_that_do_not_fit_are_left_out():
    rng = np.random.default_rng(0)
    for _ in range(200):
        found = draw_erasure(1.0, (2, 90), rng)
        if found is not None:
            assert found[0].top + found[0].height <= 2


def test_augmentation_needs_no_accelerator_s_library():
    code = (
        "import sys; from data_pipelines.augmentation import color, erase, geometry, rand_augment;"
        "print({'jax', 'torch', 'tensorflow'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
