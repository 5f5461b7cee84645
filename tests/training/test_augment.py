import dataclasses

import jax
import numpy as np
import pytest

from experiments.defaults import defaults
from vidtx.config import resolve
from vidtx.training import preprocess, step_keys

CLIPS = np.random.RandomState(0).randint(0, 256, (200, 3, 4, 6, 3), np.uint8)


def data(**changes):
    config = defaults()
    config.train.steps = 10
    return dataclasses.replace(resolve(config).data, **changes)


def fed(seed=0, step=0, **changes):
    return np.asarray(preprocess(CLIPS, data(**changes), step_keys(seed, step)[0]))


def test_frames_are_normalised_channel_by_channel():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    found = fed(flip=False, mean=mean, std=std)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (CLIPS / 255.0 - mean) / std, rtol=1e-5, atol=1e-6)


def mirrored(clips):
    """Which clips are mirrored; every one must be whole, as it is or mirrored."""
    plain = fed(flip=False)
    straight = np.array([np.array_equal(a, b) for a, b in zip(clips, plain, strict=True)])
    turned = np.array([np.array_equal(a, b[:, :, ::-1]) for a, b in zip(clips, plain, strict=True)])
    assert (straight ^ turned).all()
    return turned


def test_about_half_of_the_clips_are_mirrored_whole():
    assert 70 < mirrored(fed(flip=True)).sum() < 130


def test_flips_are_a_function_of_seed_and_step():
    first = mirrored(fed(flip=True))
    np.testing.assert_array_equal(first, mirrored(fed(flip=True)))
    for other in (fed(flip=True, seed=1), fed(flip=True, step=1)):
        assert 60 < (first ^ mirrored(other)).sum() < 140


def test_nothing_is_mirrored_where_classes_tell_sides():
    for step in range(3):
        assert not mirrored(fed(flip=False, step=step)).any()


def test_keys_differ_by_use_step_and_seed():
    keys = [key for seed in (0, 1) for step in (0, 1) for key in step_keys(seed, step)]
    words = {tuple(jax.random.key_data(key).tolist()) for key in keys}
    assert len(words) == len(keys)


@pytest.mark.parametrize("step", [0, 1, 12345])
def test_a_step_counted_on_the_device_gives_the_same_keys(step):
    here = step_keys(3, step)
    there = jax.jit(lambda number: step_keys(3, number))(np.int32(step))
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(jax.random.key_data(a), jax.random.key_data(b))
