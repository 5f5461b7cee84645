"""The published initialisation, read off freshly initialised models."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidtx

from . import tiny

STDDEV = 0.02


@pytest.fixture(scope="module")
def fresh():
    """A model with both kinds of added step, wide enough for its statistics to be sharp."""
    model = tiny.create("axial", (16, 8, 8), embed_dim=128, depth=2)
    variables = jax.jit(model.init, compiler_options=tiny.COMPILER_OPTIONS)(
        jax.random.key(0), tiny.clips((1, 1, 1), batch=1)
    )
    return tiny.flat(nn.meta.unbox(variables["params"]))


def test_kernels_are_normal_and_not_truncated(fresh):
    kernels = [
        leaf
        for path, leaf in fresh.items()
        if path.endswith("kernel") and "/fc/" not in path and "patch" not in path
    ]
    assert len(kernels) == 2 * (2 * 3 + 2) + 1
    values = np.concatenate([kernel.ravel() for kernel in kernels])
    np.testing.assert_allclose(values.std(), STDDEV, rtol=0.01)
    np.testing.assert_allclose(values.mean(), 0, atol=1e-4)
    # A normal has 4.55 % of its mass beyond two deviations, 0.27 % beyond three; a truncated none.
    np.testing.assert_allclose((abs(values) > 2 * STDDEV).mean(), 0.0455, rtol=0.05)
    np.testing.assert_allclose((abs(values) > 3 * STDDEV).mean(), 0.0027, rtol=0.2)
    for kernel in kernels:
        np.testing.assert_allclose(kernel.std(), STDDEV, rtol=0.15)


def test_what_starts_at_zero(fresh):
    zeros = {path for path, leaf in fresh.items() if not leaf.any()}
    biases = {path for path in fresh if path.endswith("bias") and "patch" not in path}
    output_layers = {f"block_{i}/{step}/fc/kernel" for i in range(2) for step in ("time", "width")}
    assert zeros == biases | output_layers | {"embedding/time"}


def test_norms_start_as_the_identity(fresh):
    scales = [leaf for path, leaf in fresh.items() if path.endswith("scale")]
    assert len(scales) == 2 * 4 + 1
    assert all((scale == 1).all() for scale in scales)


def test_class_token_and_position_table(fresh):
    np.testing.assert_allclose(fresh["embedding/position"].std(), STDDEV, rtol=0.05)
    np.testing.assert_allclose(fresh["embedding/class_token"].std(), STDDEV, rtol=0.3)


def test_patch_layer_is_uniform_within_one_over_the_root_of_fan_in(fresh):
    bound = (3 * tiny.PATCH**2) ** -0.5
    kernel, bias = fresh["embedding/patch/kernel"], fresh["embedding/patch/bias"]
    assert abs(kernel).max() <= bound
    assert abs(kernel).max() > 0.99 * bound
    np.testing.assert_allclose(kernel.std(), bound / 3**0.5, rtol=0.03)
    assert 0.8 * bound < abs(bias).max() <= bound


def test_parameters_are_float32_under_bfloat16_too():
    model = tiny.create("divided", dtype="bfloat16")
    variables = jax.eval_shape(model.init, jax.random.key(0), tiny.clips(tiny.GRID))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_the_tree_is_the_one_that_the_reference_was_written_for(scheme):
    variables = jax.eval_shape(tiny.create(scheme).init, jax.random.key(0), tiny.clips(tiny.GRID))
    created = jax.tree.map(lambda leaf: np.zeros(leaf.shape), nn.meta.unbox(variables["params"]))
    shapes = {path: leaf.shape for path, leaf in tiny.flat(created).items()}
    assert shapes == {path: leaf.shape for path, leaf in tiny.flat(tiny.weights(scheme)).items()}


@pytest.mark.slow
def test_a_narrow_model_from_scratch_may_start_wider():
    model = vidtx.create_model(
        "timesformer_ti8",
        image_size=32,
        embed_dim=96,
        depth=1,
        init_stddev=0.1,
        time_init_stddev=0.5,
    )
    params = nn.meta.unbox(model.init(jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3))))["params"]
    block = params["block_0"]
    assert np.std(block["attention"]["qkv"]["kernel"]) == pytest.approx(0.1, rel=0.05)
    assert np.std(block["mlp"]["fc1"]["kernel"]) == pytest.approx(0.1, rel=0.05)
    assert np.std(params["embedding"]["position"]) == pytest.approx(0.1, rel=0.1)
    assert np.std(params["embedding"]["time"]) == pytest.approx(0.5, rel=0.1)
    assert not np.any(block["time"]["fc"]["kernel"])  # an added step starts without effect
