"""The blocks of a model, one after the other: what is kept for the backward pass, loop or scan."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidtx.kernels import KEPT
from vidtx.models import placement
from vidtx.models.block import Block
from vidtx.models.layers import DropPath

Streams = tuple[jax.Array, jax.Array]  # patches and class tokens


# What of a block is kept for the backward pass, beside its input; the rest is computed again.
_POLICIES = {
    "products": jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
        # What splash attention gives, which would be as dear to compute again as a product.
        jax.checkpoint_policies.save_only_these_names(KEPT),
    ),
    "full": None,
}
REMAT = ("none", *_POLICIES)


def block_class(remat: str, *, scan: bool) -> type[nn.Module]:
    """The block with a policy of recomputation.

    Args:
      remat: one of ``REMAT``.
      scan: whether it is the body of a scan, where the compiler has no way to undo the policy by
        merging equal computations and need not be kept from it.
    """
    if remat == "none":
        return Block
    return nn.remat(Block, policy=_POLICIES[remat], prevent_cse=not scan)


def run_loop(
    make_block: Callable[..., nn.Module],
    depth: int,
    patches: jax.Array,
    class_tokens: jax.Array,
    drop_path: DropPath | None,
) -> Streams:
    """Runs ``block_0`` to ``block_n``, each compiled for itself.

    Args:
      make_block: makes a block from its name.
      depth: number of blocks.
      patches: ``[B, T, H, W, D]``.
      class_tokens: ``[B, S, D]``.
      drop_path: stochastic depth of the last block, from which it falls to 0 in the first; or None.
    """
    for index, rate in enumerate(_rates(drop_path, depth)):
        draws = drop_path.replace(rate=rate).fold(index) if rate else None
        patches, class_tokens = make_block(name=f"block_{index}")(patches, class_tokens, draws)
    return patches, class_tokens


def run_scan(
    block: nn.Module,
    weights: Sequence[dict],
    patches: jax.Array,
    class_tokens: jax.Array,
    drop_path: DropPath | None,
    dtype: jnp.dtype,
) -> Streams:
    """Runs one compiled block over the stacked weights of all: what `run_loop` does, to rounding.

    Args:
      block: without a parent.
      weights: of each block, float32.
      patches: ``[B, T, H, W, D]``.
      class_tokens: ``[B, S, D]``.
      drop_path: as for `run_loop`.
      dtype: of the computation.
    """

    def stack(*leaves: jax.Array) -> jax.Array:
        # Matrices are computed with in ``dtype`` alone: cast first, the copy is half as large.
        return jnp.stack([leaf.astype(dtype) if leaf.ndim > 1 else leaf for leaf in leaves])

    def body(streams: Streams, layer: tuple) -> tuple[Streams, None]:
        params, index, rate = layer
        draws = None if drop_path is None else drop_path.replace(rate=rate).fold(index)
        patches, class_tokens = block.apply({"params": params}, *streams, draws)
        return (placement.place_frames(patches), class_tokens), None

    layers = jnp.arange(len(weights)), _rates(drop_path, len(weights))
    streams, _ = jax.lax.scan(
        body, (patches, class_tokens), (jax.tree.map(stack, *weights), *layers)
    )
    return streams


def _rates(drop_path: DropPath | None, depth: int) -> np.ndarray:
    """Of each block, float32; the first never drops."""
    last = 0.0 if drop_path is None else drop_path.rate
    return np.linspace(0.0, last, depth, dtype=np.float32)
