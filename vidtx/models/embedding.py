"""Patch, class-token, position and time embeddings, and their nearest resizing (Eq. 1)."""

from collections.abc import Callable

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from vidtx.models import placement
from vidtx.models.layers import Layers

POSITION_EMBEDDINGS = ("none", "space", "space_time")


def nearest_indices(source: int, target: int) -> np.ndarray:
    """For each of ``target`` places the nearest of ``source``: ``floor(i · source / target)``.

    The ratio is rounded to float32 first, as the reference implementation does it, so that every
    index agrees with it. (`jax.image.resize` has half-pixel centres and differs.)
    """
    ratio = np.float32(source) / np.float32(target)
    indices = np.floor(np.arange(target, dtype=np.float32) * ratio).astype(np.int64)
    return np.minimum(indices, source - 1)


def _uniform(bound: float) -> Callable:
    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class PatchLayer(nn.Module):
    """The linear layer that all patches share, as a convolution; ``kernel`` and ``bias``.

    Attributes:
      dim: ``D``.
      patch_size: side of the square patches, in pixels.
      dtype: of the computation.
    """

    dim: int
    patch_size: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, clips: jax.Array) -> jax.Array:
        """Maps clips ``[B, T, height, width, 3]`` to patches ``[B, T, H, W, D]``."""
        side, channels = self.patch_size, clips.shape[-1]
        # The reference leaves this layer at its framework's default, U(±1/√fan-in).
        uniform = _uniform((channels * side**2) ** -0.5)
        kernel = nn.with_logical_partitioning(uniform, (None, None, None, "embed"))
        kernel = self.param("kernel", kernel, (side, side, channels, self.dim), jnp.float32)
        bias = nn.with_logical_partitioning(uniform, ("embed",))
        bias = self.param("bias", bias, (self.dim,), jnp.float32)
        arguments = [leaf.astype(self.dtype) for leaf in (clips, kernel, bias)]

        # A convolution has one batch axis, and the compiler cannot split one that is made of two
        # which are split already; nor clips and channels both over the same devices. So it would
        # gather clips. Each device convolves its own instead, with all of the weights.
        count = clips.shape[1]
        batch_axes = placement.mesh_axes("act_batch", clips.shape[0])
        parts = placement.parts("act_frames")
        if parts * placement.parts("act_batch", clips.shape[0]) == 1:
            return _convolve(*arguments)
        clips, *weights = arguments
        clips = jnp.pad(clips, [(0, 0), (0, -count % parts), (0, 0), (0, 0), (0, 0)])
        split = PartitionSpec(batch_axes, placement.mesh_axes("act_frames"))
        convolve = jax.shard_map(
            _convolve,
            in_specs=(split, PartitionSpec(), PartitionSpec()),
            out_specs=split,
            check_vma=False,
        )
        return convolve(placement.place_frames(clips), *weights)[:, :count]


def _convolve(clips: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    batch, frames, *picture = clips.shape
    patches = jax.lax.conv_general_dilated(
        clips.reshape(batch * frames, *picture),
        kernel,
        window_strides=kernel.shape[:2],
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return patches.reshape(batch, frames, *patches.shape[1:]) + bias


class Embedding(nn.Module):
    """Clips into tokens.

    Attributes:
      dim: ``D``.
      patch_size: side of the square patches, in pixels.
      trained_grid: ``(T₀, H₀, W₀)``, for which embeddings are kept; on other grids they are
        resized to the nearest, rows and columns each for itself.
      class_token_per_frame: ``S = T`` class tokens instead of one.
      position: ``"none"``, ``"space"`` or ``"space_time"`` (Table 4); ``"space_time"`` is the sum
        of one embedding a position and one a frame.
      time_init_stddev: standard deviation with which the time embedding starts.
      layers: says how tables start and in which dtype to compute.
    """

    dim: int
    patch_size: int
    trained_grid: tuple[int, int, int]
    class_token_per_frame: bool
    position: str
    time_init_stddev: float
    layers: Layers

    @nn.compact
    def __call__(self, clips: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Embeds clips.

        Args:
          clips: ``[B, T, height, width, 3]``.

        Returns:
          Patches ``[B, T, H, W, D]`` and class tokens ``[B, S, D]``.
        """
        frames, rows, columns = self.trained_grid
        patches = PatchLayer(self.dim, self.patch_size, self.layers.dtype, name="patch")(clips)
        batch, num_frames, num_rows, num_columns, _ = patches.shape

        class_token = self._table("class_token", 1, self.layers.init_stddev)
        if self.position != "none":
            table = self._table("position", 1 + rows * columns, self.layers.init_stddev)
            class_token += table[:, :1]
            grid = einops.rearrange(table[:, 1:], "1 (h w) d -> h w d", h=rows)
            grid = grid[nearest_indices(rows, num_rows)]
            patches += grid[:, nearest_indices(columns, num_columns)]
        if self.position == "space_time":
            table = self._table("time", frames, self.time_init_stddev)[0]
            patches += table[nearest_indices(frames, num_frames), None, None]

        copies = num_frames if self.class_token_per_frame else 1
        class_tokens = jnp.broadcast_to(class_token, (batch, copies, self.dim))
        return placement.place_frames(patches), placement.place_class_tokens(
            class_tokens, per_frame=self.class_token_per_frame
        )

    def _table(self, name: str, length: int, stddev: float) -> jax.Array:
        init = nn.with_logical_partitioning(nn.initializers.normal(stddev), (None, None, "embed"))
        return self.param(name, init, (1, length, self.dim), jnp.float32).astype(self.layers.dtype)
