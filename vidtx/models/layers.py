"""Layers that every scheme shares: dense, LayerNorm, MLP, drop path, logical axes.

Logical axis names of weights: ``embed`` (D), ``qkv`` (3·D), ``heads`` (D, head-major), ``fc`` (D,
the output of an added step's output layer), ``mlp``, ``classes``. Of activations: ``act_batch``,
``act_frames``, ``act_positions``, ``act_embed``. Which mesh axis, if any, each one is split over is
not this room's business.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

LAYER_NORM_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class Layers:
    """Makes a model's layers; what they have in common is said here, once.

    Attributes:
      dtype: of the computation; parameters are float32.
      init_stddev: standard deviation with which kernels and embedding tables start.
    """

    dtype: jnp.dtype
    init_stddev: float

    def dense(
        self, features: int, axes: tuple[str, str], *, name: str, zero_init: bool = False
    ) -> nn.Dense:
        """A linear layer with a normal kernel (not truncated: the reference's bounds lie at ±100σ).

        Args:
          features: output width.
          axes: logical names of the kernel's two axes.
          name: name of the layer's parameters.
          zero_init: start the kernel at zero, so that the residual branch has no effect at first.
        """
        kernel = nn.initializers.normal(0.0 if zero_init else self.init_stddev)
        return nn.Dense(
            features,
            dtype=self.dtype,
            kernel_init=nn.with_logical_partitioning(kernel, axes),
            bias_init=nn.with_logical_partitioning(nn.initializers.zeros, axes[1:]),
            name=name,
        )

    def norm(self, *, name: str) -> nn.LayerNorm:
        """LayerNorm with float32 statistics.

        In two passes for float32 computation, which matches other implementations to rounding; in
        one pass for bfloat16, where the statistics then fuse into the matmul before.
        """
        return nn.LayerNorm(
            epsilon=LAYER_NORM_EPSILON,
            dtype=self.dtype,
            use_fast_variance=jnp.dtype(self.dtype) != jnp.float32,
            scale_init=nn.with_logical_partitioning(nn.initializers.ones, ("embed",)),
            bias_init=nn.with_logical_partitioning(nn.initializers.zeros, ("embed",)),
            name=name,
        )


def gelu(x: jax.Array) -> jax.Array:
    """Exact GELU, ``x·Φ(x)``, in float32; through `lax.erf`, which compiles leaner than erfc."""
    wide = x.astype(jnp.float32)
    return (0.5 * wide * (1.0 + jax.lax.erf(wide * 0.5**0.5))).astype(x.dtype)


class Mlp(nn.Module):
    """The block's two-layer perceptron (Eq. 9).

    Attributes:
      hidden_dim: width of the hidden layer.
      layers: makes its layers.
    """

    hidden_dim: int
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., D]`` to ``[..., D]``."""
        hidden = self.layers.dense(self.hidden_dim, ("embed", "mlp"), name="fc1")(x)
        return self.layers.dense(x.shape[-1], ("mlp", "embed"), name="fc2")(gelu(hidden))


def drop_path_factor(
    key: jax.Array,
    rate: float,
    shape: tuple[int, ...],
    dtype: jnp.dtype,
    clip_index: jax.Array | None = None,
) -> jax.Array:
    """Random factors of stochastic depth: 0 with probability ``rate``, else ``1 / (1 - rate)``.

    Args:
      key: of the draw.
      rate: probability of 0.
      shape: ``[B, ...]`` of the factors.
      dtype: of the factors.
      clip_index: int ``[B]``; a clip's draws are a function of ``key`` and its number here alone,
        so that a batch taken in parts draws what the whole one does. None counts from 0.
    """
    keep = 1.0 - rate
    clip_index = jnp.arange(shape[0]) if clip_index is None else clip_index
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, clip_index)
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, keep, shape[1:]))(keys)
    return jnp.where(kept, 1.0 / keep, 0.0).astype(dtype)
