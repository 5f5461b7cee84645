"""Every backend against attention by its definition: outputs, and the gradients of all inputs."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.kernels import dense
from vidtx.kernels import attend_groups, cudnn, splash

# Compiling is what these tests spend their time on.
COMPILER_OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def with_gradients(function, dtype, query, key, value, valid, given):
    """What `dense.attention` returns, by a backend that computes in ``dtype``."""

    def run(query, key, value, given):
        output, pull = jax.vjp(lambda *args: function(*args, valid), query, key, value)
        return (output, *pull(given))

    arguments = [jnp.asarray(x, dtype) for x in (query, key, value, given)]
    return jax.jit(run, compiler_options=COMPILER_OPTIONS)(*arguments)


def check(function, inputs, tolerance=3e-6, dtype=jnp.float32):
    found = with_gradients(function, dtype, *inputs)
    for one, expected in zip(found, dense.attention(*inputs), strict=True):
        assert one.dtype == dtype
        error = np.abs(np.asarray(one, np.float64) - expected).max()
        assert error < tolerance * np.abs(expected).max()


ONE_GROUP = (2, 1, 131, 131, 2, 16)  # clips, groups, queries, keys, heads, head width
MASKED = (1, 3, 150, 300, 2, 64)  # as where two devices share the queries of every group
SHORT = (2, 5, 7, 9, 2, 8)

xla = functools.partial(attend_groups, backend="xla")


@pytest.mark.parametrize("shape", [ONE_GROUP, MASKED, SHORT], ids=["one group", "masked", "short"])
def test_xla(shape):
    check(xla, dense.inputs(*shape, masked=shape != ONE_GROUP))


def test_splash_with_masked_keys_and_fewer_queries():
    check(functools.partial(attend_groups, backend="splash"), dense.inputs(*MASKED, masked=True))


def test_splash_by_several_blocks_and_two_backward_kernels():
    """As where keys are so many that one kernel's partial gradients would take too much memory."""
    shape = (1, 1, 40, 600, 1, 16)
    assert splash.block_size(600, head_dim=16, dtype=jnp.float32) < 600
    check(functools.partial(splash.attend_groups, fused_key_blocks=1), dense.inputs(*shape))


@pytest.mark.parametrize("backend", ["xla", "splash"])
def test_logits_are_float32_where_all_else_is_bfloat16(backend):
    """Logits of more than 40, where bfloat16 has multiples of 1/4 only."""
    query, key, value, valid, given = dense.inputs(*ONE_GROUP, spread=10.0)
    arrays = [np.asarray(x, ml_dtypes.bfloat16) for x in (query, key, value)]
    found = attend_groups(*map(jnp.asarray, arrays), valid, backend=backend)
    expected, *_ = dense.attention(*arrays, valid, given)
    assert found.dtype == jnp.bfloat16
    error = np.abs(np.asarray(found, np.float64) - expected).max()
    assert error < 2**-7 * np.abs(expected).max()


def test_cudnn_but_for_its_kernel():
    """Odd numbers of queries and keys, with a mask, are what its backward pass does not take."""
    through_xla = functools.partial(cudnn.attend_groups, implementation="xla")
    check(through_xla, dense.inputs(*SHORT, masked=True))


def on_a_gpu():
    return any(device.platform == "gpu" for device in jax.local_devices())


@pytest.mark.skipif(not on_a_gpu(), reason="no GPU, or JAX_PLATFORMS=cpu: try cuda,cpu")
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_cudnn(masked):
    function = functools.partial(attend_groups, backend="cudnn")
    inputs = dense.inputs(2, 3, 149, 301, 2, 64, masked=masked)
    check(function, inputs, tolerance=0.02, dtype=jnp.bfloat16)


def test_an_unknown_backend_is_named():
    query, key, value, _, _ = dense.inputs(*ONE_GROUP)
    with pytest.raises(ValueError, match="backend is 'auto'; it must be xla, splash or cudnn"):
        attend_groups(query, key, value, backend="auto")
