"""Stochastic depth, observed from outside: what of a residual is dropped together, and by how much.

Captured outputs of the second block's layers, with and without training, on the same input: the
first block never drops, so what reaches the second is the same.
"""

import functools

import jax
import numpy as np
import pytest

from vidtx.models.layers import DropPath

from . import tiny

RATE, KEEP = 0.4, 0.6
GRID, BATCH = (4, 2, 3), 16


@functools.cache
def program(scheme, train):
    """Compiled: the captured outputs of every module."""
    model = tiny.create(scheme, drop_path=RATE)

    @functools.partial(jax.jit, compiler_options=tiny.COMPILER_OPTIONS)
    def run(tree, x, key):
        rngs = {"dropout": key} if train else {}
        options = {"train": train, "rngs": rngs, "capture_intermediates": True}
        return model.apply({"params": tree}, x, **options)[1]["intermediates"]

    return run


def captured(scheme, seed=None):
    """Captured outputs of every module; of a training pass where a seed is given."""
    run = program(scheme, seed is not None)
    out = run(tiny.weights(scheme), tiny.clips(GRID, BATCH), jax.random.key(seed or 0))
    return jax.tree.map(np.asarray, out)


def output(state, *path):
    for name in path:
        state = state[name]
    return state["__call__"][0]


def factors(dropped, whole):
    """``dropped / whole`` for each token, which must be one number for all its channels."""
    factor = (dropped * whole).sum(-1) / (whole * whole).sum(-1)
    np.testing.assert_allclose(dropped, factor[..., None] * whole, rtol=0, atol=1e-5)
    values = np.unique(factor.round(4))
    np.testing.assert_allclose(values, [0, 1 / KEEP], atol=1e-3)
    return factor.round(4)


@pytest.mark.parametrize("scheme", ["divided", "space"])
def test_the_first_block_never_drops(scheme):
    train, evaluation = captured(scheme, seed=0), captured(scheme)
    for dropped, whole in zip(output(train, "block_0"), output(evaluation, "block_0"), strict=True):
        np.testing.assert_allclose(dropped, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("scheme", "path", "shared"),
    # Token axes of [B, T, H, W] along which one draw is shared: time a tube, space a frame.
    [
        ("divided", ("block_1", "time", "attention"), (1,)),
        ("space", ("block_1", "attention"), (2, 3)),
        ("joint", ("block_1", "attention"), (1, 2, 3)),
    ],
)
def test_a_step_drops_whole_groups(scheme, path, shared):
    dropped, _ = output(captured(scheme, seed=0), *path)
    whole, _ = output(captured(scheme), *path)
    factor = factors(dropped, whole)
    first = factor[tuple(slice(0, 1) if axis in shared else slice(None) for axis in range(4))]
    np.testing.assert_array_equal(factor, np.broadcast_to(first, factor.shape))
    if scheme != "joint":
        # Joint has one group a clip. Where there are more, each draws for itself.
        assert (first != first[:, :1, :1, :1]).any()


def test_a_frame_of_space_drops_together_with_its_class_token():
    dropped, dropped_class = output(captured("space", seed=0), "block_1", "attention")
    whole, whole_class = output(captured("space"), "block_1", "attention")
    np.testing.assert_array_equal(
        factors(dropped, whole)[:, :, 0, 0], factors(dropped_class, whole_class)
    )


def test_a_dropped_added_step_still_adds_its_output_layers_bias():
    train = captured("divided", seed=0)
    factor = factors(
        output(train, "block_1", "time", "attention")[0],
        output(captured("divided"), "block_1", "time", "attention")[0],
    )
    bias = tiny.weights("divided")["block_1"]["time"]["fc"]["bias"]
    residual = output(train, "block_1", "time")
    assert np.abs(bias).max() > 0.1
    np.testing.assert_allclose(
        residual[factor == 0], np.broadcast_to(bias, residual[factor == 0].shape), atol=1e-6
    )


def mlp_factors(scheme, seed):
    """Factors of the second block's MLP, of patches and class tokens, by subtraction."""
    state = captured(scheme, seed)
    patches, cls = output(state, "block_0")
    if scheme == "divided":
        patches = patches + output(state, "block_1", "time")
    residual, class_residual = output(state, "block_1", "attention")
    end_patches, end_cls = output(state, "block_1")
    whole, whole_class = state["block_1"]["mlp"]["__call__"]
    return (
        factors(end_patches - patches - residual, whole),
        factors(end_cls - cls - class_residual, whole_class),
    )


@pytest.mark.parametrize(("scheme", "class_tokens"), [("divided", 1), ("space", GRID[0])])
def test_the_mlp_drops_a_clip_or_for_space_a_frame(scheme, class_tokens):
    factor, class_factor = mlp_factors(scheme, seed=0)
    assert class_factor.shape == (BATCH, class_tokens)
    shared = np.broadcast_to(class_factor[:, :, None, None], factor.shape)
    np.testing.assert_array_equal(factor, shared)
    assert (class_tokens > 1) == (class_factor != class_factor[:, :1]).any()


def test_the_mlp_draws_for_itself_and_from_the_key():
    factor, _ = mlp_factors("space", seed=0)
    other, _ = mlp_factors("space", seed=1)
    assert (factor != other).any()
    attended, _ = output(captured("space", seed=0), "block_1", "attention")
    assert ((attended == 0).all(-1) != (factor == 0)).any()


def test_class_token_residuals_are_averaged_after_dropping():
    """With every frame's patches dropped or kept alone, the class token gets their mean."""
    dropped, class_dropped = output(captured("divided", seed=3), "block_1", "attention")
    # A dropped frame's residuals are exactly zero. (The time step before has changed the others.)
    kept = (dropped != 0).any((2, 3, 4))
    assert (kept.any(1) == (class_dropped != 0).any((1, 2))).all()
    np.testing.assert_allclose(kept.mean(), KEEP, atol=4 * (KEEP * RATE / kept.size) ** 0.5)


def test_survivors_are_scaled_so_that_the_mean_stays():
    drop_path = DropPath(jax.random.key(0), np.float32(0.25), np.arange(20_000))
    factor = np.asarray(drop_path.factor((20_000,), np.float32))
    assert set(factor.tolist()) == {0.0, float(np.float32(1) / np.float32(0.75))}
    # Four standard deviations of the mean.
    np.testing.assert_allclose(factor.mean(), 1, atol=4 * (0.25 / 0.75 / 20_000) ** 0.5)


def test_another_key_drops_others_and_the_same_key_the_same():
    def dropped(seed):
        return output(captured("divided", seed=seed), "block_1", "time", "attention")[0]

    assert (dropped(0) != dropped(1)).any()
    np.testing.assert_array_equal(dropped(0), dropped(0))


def test_without_training_nothing_is_random():
    tree, x = tiny.weights("divided"), tiny.clips(GRID)
    dropping = tiny.forward(tiny.create("divided", drop_path=RATE))(tree, x)
    expected, _ = tiny.reference("divided", tree, x)
    np.testing.assert_allclose(dropping, expected, rtol=0, atol=1e-5)
    again = tiny.forward(tiny.create("divided", drop_path=RATE))(tree, x)
    np.testing.assert_array_equal(dropping, again)


def test_rates_grow_linearly_from_the_first_block_to_the_last():
    """Fractions of tubes dropped in the four blocks of one pass, within four deviations."""
    model = tiny.create("divided", depth=4, drop_path=0.3)
    tree, x = tiny.weights("divided", depth=4), tiny.clips(GRID, 128)
    _, state = jax.jit(
        lambda key: model.apply(
            {"params": tree}, x, train=True, rngs={"dropout": key}, capture_intermediates=True
        ),
        compiler_options=tiny.COMPILER_OPTIONS,
    )(jax.random.key(0))
    for index, rate in enumerate([0.0, 0.1, 0.2, 0.3]):
        attended, _ = output(state["intermediates"], f"block_{index}", "time", "attention")
        gone = (np.asarray(attended) == 0).all((1, 4))
        tolerance = 4 * (rate * (1 - rate) / gone.size) ** 0.5
        np.testing.assert_allclose(gone.mean(), rate, atol=tolerance)
