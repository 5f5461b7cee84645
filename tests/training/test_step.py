"""The compiled step, on clips that are made up: accumulation, averages, frozen weights, mixing."""

import functools

import jax
import numpy as np
import pytest

from tests import tiny_run
from vidtx import create_model
from vidtx.config import MeshSpec, resolve
from vidtx.sharding import make_mesh, place_batch
from vidtx.training import (
    abstract_state,
    boxed_params,
    init_state,
    make_optimizer,
    make_train_step,
    start_from,
)

ROWS, CLASSES = 8, 3
# SGD: Adam divides rounding by the root of rounding where gradients are almost zero.
SGD = {"optimizer.name": "sgd", "optimizer.clip_norm": None, "optimizer.weight_decay": 0.0}
RANDOM = {"data.flip": True, "train.mixup": 0.8, "train.cutmix": 1.0}


@functools.cache
def model(drop_path=0.3):
    return create_model(
        "timesformer_ti4", num_classes=CLASSES, num_frames=2, image_size=8, embed_dim=8, depth=2,
        num_heads=2, drop_path=drop_path,
    )  # fmt: skip


@functools.cache
def mesh():
    return make_mesh(MeshSpec(data=-1, fsdp=1))


def batch(number):
    random = np.random.RandomState(number)
    return {
        "video": random.randint(0, 256, (ROWS, 2, 8, 8, 3), np.uint8),
        "label": random.randint(0, CLASSES, ROWS, np.int32),
        "index": random.randint(0, 99, ROWS).astype(np.uint32),
        "replaced": np.zeros(ROWS, np.int32),
    }


def machine(**options):
    """First state and compiled step of a run."""
    options = SGD | {"data.image_size": (8, 8), "data.short_side": (8, 8)} | options
    spec = resolve(tiny_run.tiny_config("data", **options))
    params = jax.eval_shape(lambda: boxed_params(model()))
    optimizer = make_optimizer(spec.optimizer, lambda step: 0.1, params)
    averaged = spec.train.ema_decay is not None
    abstract = abstract_state(model(), optimizer, mesh(), averaged=averaged)
    state = init_state(model(), optimizer, 0, mesh(), averaged=averaged)
    return state, make_train_step(spec, model(), optimizer, mesh(), abstract)


def trained(steps=3, **options):
    """States 0 to ``steps`` in host memory."""
    state, step = machine(**options)
    states = [jax.device_get(state)]
    for number in range(steps):
        state = step(state, place_batch(batch(number), mesh()))
        states.append(jax.device_get(state))
    return states


def close(left, right, rtol=1e-5, atol=1e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), left, right)


def named(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


@pytest.mark.parametrize(
    ("count", "mixing"),
    [
        (4, RANDOM),
        pytest.param(2, {}, marks=pytest.mark.slow),
        pytest.param(4, {}, marks=pytest.mark.slow),
        pytest.param(2, RANDOM, marks=pytest.mark.slow),
    ],
)
def test_a_batch_taken_in_parts_gives_the_update_of_the_whole(count, mixing):
    """Random draws included: of flips, mixing and stochastic depth."""
    whole, parts = trained(**mixing), trained(**mixing, **{"train.accumulate": count})
    close(parts[-1].params, whole[-1].params)
    np.testing.assert_allclose(parts[-1].window.loss, whole[-1].window.loss, rtol=1e-6)
    np.testing.assert_allclose(parts[-1].window.grad_norm, whole[-1].window.grad_norm, rtol=1e-5)
    assert parts[-1].window.correct == whole[-1].window.correct
    assert parts[-1].window.clips == whole[-1].window.clips == 3 * ROWS
    moved = [
        np.abs(a - b).max()
        for a, b in zip(*map(jax.tree.leaves, (whole[0].params, whole[-1].params)), strict=True)
    ]
    assert max(moved) > 1e-2


def test_parts_hold_less_memory_than_the_whole():
    def temporary(**options):
        state, step = machine(**options)
        rows = place_batch(batch(0), mesh())
        return step.lower(state, rows).compile().memory_analysis().temp_size_in_bytes

    assert temporary(**{"train.accumulate": 4}) < temporary()


def test_averaged_weights_follow_their_recursion():
    decay = 0.75
    states = trained(steps=40, **{"train.ema_decay": decay})
    expected = jax.tree.map(np.float64, states[0].params)
    for number, state in enumerate(states[1:], 1):
        own = min(decay, (1 + number) / (10 + number))
        expected = jax.tree.map(lambda e, p, d=own: d * e + (1 - d) * p, expected, state.params)
    close(states[-1].ema, expected)
    assert states[-1].judged is states[-1].ema
    plain = trained(steps=1)
    assert plain[-1].ema is None
    assert plain[-1].judged is plain[-1].params


def test_averaging_does_not_change_the_training():
    close(trained(**{"train.ema_decay": 0.9})[-1].params, trained()[-1].params, rtol=0, atol=0)


def test_frozen_weights_stay_and_take_no_part_in_the_norm():
    pattern = "embedding/.*|block_0/.*"
    states = trained(**{"optimizer.freeze": (pattern,), "train.ema_decay": 0.9})
    before, after = named(states[0].params), named(states[-1].params)
    for name in before:
        if name.startswith(("embedding/", "block_0/")):
            np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    for name in ("block_1/attention/qkv/kernel", "block_1/mlp/fc1/kernel", "head/kernel"):
        assert (before[name] != after[name]).any(), name
    for name, leaf in named(states[-1].ema).items():
        if name.startswith(("embedding/", "block_0/")):
            np.testing.assert_array_equal(before[name], leaf, err_msg=name)
    whole = trained(steps=1)
    partial = trained(steps=1, **{"optimizer.freeze": (pattern,)})
    assert partial[-1].window.grad_norm < whole[-1].window.grad_norm
    np.testing.assert_allclose(partial[-1].window.loss, whole[-1].window.loss, rtol=1e-6)


def test_other_weights_to_start_from_are_copied():
    state, step = machine(**{"train.ema_decay": 0.9})
    ones = jax.tree.map(lambda leaf: jax.numpy.ones_like(leaf), state.params)
    state = start_from(state, ones)
    close(state.ema, state.params)
    after = step(state, place_batch(batch(0), mesh()))
    assert int(after.step) == 1
    assert np.isfinite(jax.device_get(after.window.loss))


def test_smoothed_and_mixed_targets_change_the_loss_and_not_what_is_counted():
    plain = trained(steps=1)[-1].window
    smoothed = trained(steps=1, **{"train.label_smoothing": 0.3})[-1].window
    assert smoothed.loss != plain.loss
    assert smoothed.correct == plain.correct
    mixed = trained(steps=1, **RANDOM)[-1].window
    assert mixed.loss != plain.loss
    assert mixed.clips == plain.clips == ROWS
