import dataclasses

import jax
import numpy as np
import pytest

from experiments.defaults import defaults
from vidtx.config import resolve
from vidtx.training import augment, draw

CLIPS = np.random.RandomState(0).randint(0, 256, (200, 3, 4, 6, 3), np.uint8)
TARGETS = np.eye(5, dtype=np.float32)[np.arange(200) % 5]


def run_spec(seed=0, mixup=0.0, cutmix=0.0, **data):
    config = defaults()
    config.seed, config.train.steps = seed, 10
    config.train.mixup, config.train.cutmix = mixup, cutmix
    config.data.image_size = CLIPS.shape[2:4]
    spec = resolve(config)
    return dataclasses.replace(spec, data=dataclasses.replace(spec.data, **data))


def fed(step=0, **options):
    spec = run_spec(**options)
    return jax.tree.map(np.asarray, augment(CLIPS, TARGETS, draw(spec, step, len(CLIPS)), spec))


def test_frames_are_normalised_channel_by_channel():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    found, targets = fed(flip=False, mean=mean, std=std)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (CLIPS / 255.0 - mean) / std, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(targets, TARGETS)


@pytest.mark.parametrize("flip", [False, True])
def test_channels_may_be_fed_the_other_way_round(flip):
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    rgb, _ = fed(flip=flip, mean=mean, std=std)
    # Mean and deviation are of the channels as they are fed.
    bgr, _ = fed(flip=flip, mean=mean[::-1], std=std[::-1], channel_order="bgr")
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])
    if not flip:
        found, _ = fed(flip=False, mean=mean, std=std, channel_order="bgr")
        expected = (CLIPS[..., ::-1] / 255.0 - mean) / std
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def mirrored(clips):
    """Which clips are mirrored; every one must be whole, as it is or mirrored."""
    plain, _ = fed(flip=False)
    straight = np.array([np.array_equal(a, b) for a, b in zip(clips, plain, strict=True)])
    turned = np.array([np.array_equal(a, b[:, :, ::-1]) for a, b in zip(clips, plain, strict=True)])
    assert (straight ^ turned).all()
    return turned


def test_about_half_of_the_clips_are_mirrored_whole():
    assert 70 < mirrored(fed(flip=True)[0]).sum() < 130


def test_flips_are_a_function_of_seed_and_step():
    first = mirrored(fed(flip=True)[0])
    np.testing.assert_array_equal(first, mirrored(fed(flip=True)[0]))
    for other in (fed(flip=True, seed=1), fed(flip=True, step=1)):
        assert 60 < (first ^ mirrored(other[0])).sum() < 140


def test_nothing_is_mirrored_where_classes_tell_sides():
    for step in range(3):
        assert not mirrored(fed(flip=False, step=step)[0]).any()


@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1}])
def test_neighbours_are_mixed_after_they_are_mirrored(options):
    options = {name: float(alpha) for name, alpha in options.items()}
    flipped, _ = fed(flip=True)
    mixed, targets = fed(flip=True, **options)
    partner = flipped.reshape(100, 2, *flipped.shape[1:])[:, ::-1].reshape(flipped.shape)
    low, high = np.minimum(flipped, partner) - 1e-4, np.maximum(flipped, partner) + 1e-4
    assert ((low <= mixed) & (mixed <= high)).all()
    assert (np.abs(mixed - flipped) > 1e-3).any((1, 2, 3, 4)).mean() > 0.5
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-5)
    assert ((targets > 0).sum(1) == 2).mean() > 0.5


def test_what_is_drawn_is_a_function_of_seed_step_and_row():
    spec = run_spec(flip=True, mixup=1.0, cutmix=1.0)

    def drawn(spec, step):
        return jax.tree.map(np.asarray, draw(spec, step, 64))

    first = drawn(spec, 3)
    jax.tree.map(np.testing.assert_array_equal, first, drawn(spec, 3))
    np.testing.assert_array_equal(first.rows, np.arange(64))
    for other in (drawn(spec, 4), drawn(dataclasses.replace(spec, seed=1), 3)):
        assert (first.mirrored != other.mirrored).any()
        assert (first.mix.share != other.mix.share).any()
    # Flips do not change when mixing is switched on.
    np.testing.assert_array_equal(first.mirrored, drawn(run_spec(flip=True), 3).mirrored)


@pytest.mark.parametrize("step", [0, 1, 12345])
def test_a_step_counted_on_the_device_draws_the_same(step):
    spec = run_spec(seed=3, flip=True, mixup=1.0)
    there = jax.jit(lambda number: draw(spec, number, 8))(np.int32(step))
    jax.tree.map(np.testing.assert_array_equal, draw(spec, step, 8), there)
