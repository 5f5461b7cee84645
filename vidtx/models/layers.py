"""Layers that every scheme shares: dense, LayerNorm, MLP, drop path, logical axes.

Logical axis names of weights: ``embed`` (D), ``qkv`` (3·D), ``heads`` (D, head-major), ``fc`` (D,
the output of an added step's output layer), ``mlp``, ``classes``; `placement` has those of
activations. Which mesh axis, if any, each one is split over is not this room's business.
"""

import dataclasses

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from vidtx.models import placement

LAYER_NORM_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class Layers:
    """Makes a model's layers; what they have in common is said here, once.

    Attributes:
      dtype: of the computation; parameters are float32.
      init_stddev: standard deviation with which kernels and embedding tables start.
      attention: what computes attention, one of `vidtx.kernels.ATTENTION`.
      platform: of the devices, cpu, gpu or tpu; None for JAX's default.
    """

    dtype: jnp.dtype
    init_stddev: float
    attention: str = "auto"
    platform: str | None = None

    def dense(
        self, features: int, axes: tuple[str, str], *, name: str, zero_init: bool = False
    ) -> "Dense":
        """A linear layer with a normal kernel (not truncated: the reference's bounds lie at ±100σ).

        Args:
          features: output width.
          axes: logical names of the kernel's two axes.
          name: name of the layer's parameters.
          zero_init: start the kernel at zero, so that the residual branch has no effect at first.
        """
        return Dense(features, axes, 0.0 if zero_init else self.init_stddev, self.dtype, name=name)

    def qkv(self, dim: int, num_heads: int, *, name: str) -> "Dense":
        """The fused projection to query, key and value, ``[..., 3·D]``.

        In that order, each head-major; where heads are split over devices, head by head, each its
        query, key and value. The parameters are those of the first order in either case.

        Args:
          dim: ``D``.
          num_heads: ``A``.
          name: name of the layer's parameters.
        """
        axes = ("embed", "qkv")
        return Dense(3 * dim, axes, self.init_stddev, self.dtype, num_heads=num_heads, name=name)

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


class Dense(nn.Module):
    """A linear layer; its parameters are ``kernel`` ``[inputs, features]`` and ``bias``.

    Attributes:
      features: output width.
      axes: logical names of the kernel's two axes.
      init_stddev: standard deviation with which the kernel starts.
      dtype: of the computation.
      num_heads: ``A``, where the output is a fused query, key and value; see `Layers.qkv`.
    """

    features: int
    axes: tuple[str, str]
    init_stddev: float
    dtype: jnp.dtype
    num_heads: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *more: jax.Array) -> jax.Array | tuple[jax.Array, ...]:
        """Maps ``[..., inputs]`` to ``[..., features]``; several at once share moved weights."""
        kernel = nn.with_logical_partitioning(nn.initializers.normal(self.init_stddev), self.axes)
        kernel = self.param("kernel", kernel, (x.shape[-1], self.features), jnp.float32)
        bias = nn.with_logical_partitioning(nn.initializers.zeros, self.axes[1:])
        bias = self.param("bias", bias, (self.features,), jnp.float32)
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        if self.num_heads is not None and placement.parts("act_heads") > 1:
            # Equal parts of the columns then hold whole heads. It moves weights, not activations.
            order = "... (three a k) -> ... (a three k)"
            kernel, bias = (
                rearrange(leaf, order, three=3, a=self.num_heads) for leaf in (kernel, bias)
            )
        kernel = placement.gather_weight(kernel, self.axes)
        outputs = tuple(stream.astype(self.dtype) @ kernel + bias for stream in (x, *more))
        return outputs if more else outputs[0]


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


@flax.struct.dataclass
class DropPath:
    """Stochastic depth: random factors that drop residual branches.

    Attributes:
      key: of the draws.
      rate: probability with which a branch is dropped, float32.
      clip_index: int ``[B]``; a clip's draws are a function of ``key`` and its number here alone,
        so that a batch taken in parts draws what the whole one does.
    """

    key: jax.Array
    rate: jax.Array | np.float32
    clip_index: jax.Array

    def fold(self, number: int | jax.Array) -> "DropPath":
        """The same with a key of its own, for one block, or one use of it in a block."""
        return self.replace(key=jax.random.fold_in(self.key, number))

    def factor(self, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
        """Factors ``shape``, ``[B, ...]``: 0 with probability ``rate``, else ``1 / (1 - rate)``."""
        keys = jax.vmap(jax.random.fold_in, (None, 0))(self.key, self.clip_index)
        # In float32 whether or not the rate is known before: the blocks' loop and scan agree.
        keep = np.float32(1.0) - self.rate
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, keep, shape[1:]))(keys)
        return jnp.where(kept, np.float32(1.0) / keep, np.float32(0.0)).astype(dtype)
