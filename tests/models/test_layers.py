"""LayerNorm's epsilon and passes, and the exact GELU."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from vidtx.models.layers import Layers, gelu


def norm(x, dtype=jnp.float32):
    weights = {"scale": jnp.ones(x.shape[-1]), "bias": jnp.zeros(x.shape[-1])}
    return np.asarray(Layers(dtype, 0.02).norm(name="norm").apply({"params": weights}, x))


def test_gelu_is_exact():
    points = np.linspace(-6, 6, 97, dtype=np.float32)
    exact = [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in points.astype(float)]
    np.testing.assert_allclose(gelu(jnp.asarray(points)), exact, rtol=0, atol=1e-6)
    tanh = [
        0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in points
    ]
    assert np.abs(np.asarray(gelu(jnp.asarray(points))) - tanh).max() > 1e-4


def test_gelu_keeps_its_dtype():
    x = jnp.asarray([-1.0, 0.5, 2.0], jnp.bfloat16)
    assert gelu(x).dtype == jnp.bfloat16
    np.testing.assert_array_equal(gelu(x), gelu(x.astype(jnp.float32)).astype(jnp.bfloat16))


@pytest.mark.parametrize("deviation", [1e-4, 1e-3, 1e-2, 1.0])
def test_layer_norm_adds_1e_minus_6_to_the_variance(deviation):
    x = jnp.asarray([[deviation, -deviation]], jnp.float32)
    expected = deviation / math.sqrt(deviation**2 + 1e-6)
    np.testing.assert_allclose(norm(x), [[expected, -expected]], rtol=1e-5)


def test_float32_layer_norm_keeps_its_digits_beside_a_large_mean():
    """One-pass statistics would cancel: the mean's square is 10⁸ times the variance."""
    x = 1e4 + np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    wide = x.astype(np.float64)
    expected = wide - wide.mean(-1, keepdims=True)
    expected /= np.sqrt((expected**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(norm(jnp.asarray(x)), expected, rtol=0, atol=2e-3)


def test_bfloat16_layer_norm_has_float32_statistics():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, 512)) + 3, jnp.bfloat16)
    wide = np.asarray(x, np.float64)
    expected = (wide - wide.mean(-1, keepdims=True)) / wide.std(-1, keepdims=True)
    actual = norm(x, jnp.bfloat16)
    assert actual.dtype == jnp.bfloat16
    # Half a unit in the last place of bfloat16's 8 bits: only the result was rounded.
    np.testing.assert_allclose(np.asarray(actual, np.float64), expected, rtol=2**-8, atol=1e-4)
