"""Attention without stored logits: JAX's splash attention kernel, a flash attention for TPUs.

The kernel (`jax.experimental.pallas.ops.tpu.splash_attention`; the algorithm is that of Dao et al.,
"FlashAttention", https://arxiv.org/abs/2205.14135) walks over blocks of queries and keys and keeps
the logits of one pair of blocks, float32, on the chip. Memory then grows with the number of tokens
rather than its square. On a CPU it is interpreted: slowly, for tests.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.typing import DTypeLike

LANES = 128
"""What the lengths of blocks are multiples of: the lanes of a TPU's vector unit."""

KEPT = "splash_attention"
"""Name, for `jax.checkpoint_policies`, of what the backward kernel takes from the forward one."""

# Rows of more bytes, padded to whole lanes, would not leave 1,024 squared logits, their gradients
# and what the compiler spills in the 16 MiB of vector memory that a kernel gets on a v4 or a v5e.
_MAX_BLOCK, _WIDE_MAX_BLOCK, _WIDE_BYTES = 1024, 512, 256
# What a block costs besides its own tokens, in tokens: from the compiler's static schedules for a
# v5e, forward and backward, of blocks of 128 to 1,024 squared.
_BLOCK_OVERHEAD = 200
# The fused backward kernel is a fifth faster than two apart, but writes gradients of all queries
# for every block of keys before they are summed.
_FUSED_KEY_BLOCKS = 16


def block_size(tokens: int, *, head_dim: int, dtype: DTypeLike) -> int:
    """Tokens of a block, for so many tokens: the multiple of 128 that is cheapest in all.

    Large blocks cost less a token, but what pads the last one is computed too. In bfloat16, 1,569
    tokens (joint attention over 8 frames of 224²) take two blocks of 896, and 12,545 (16 frames of
    448²) take 13 of 1,024.

    Args:
      tokens: of a group.
      head_dim: ``K``.
      dtype: of query, key and value.
    """
    row = -(-head_dim // LANES) * LANES * jnp.dtype(dtype).itemsize
    largest = _WIDE_MAX_BLOCK if row > _WIDE_BYTES else _MAX_BLOCK
    blocks = range(LANES, largest + 1, LANES)
    return min(blocks, key=lambda block: -(-tokens // block) * (block + _BLOCK_OVERHEAD))


def attend_groups(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    valid: jax.Array | np.ndarray | None = None,
    *,
    fused_key_blocks: int = _FUSED_KEY_BLOCKS,
) -> jax.Array:
    """Softmax attention inside every group of every clip, as `vidtx.kernels.attend_groups`.

    The compiler does not split it over devices: with several, call it inside `jax.shard_map`, with
    ``check_vma=False``.

    Args:
      query: ``[B, G, N, A, K]``.
      key: ``[B, G, M, A, K]``.
      value: ``[B, G, M, A, K]``.
      valid: bool ``[G, M]``, the keys that may be looked at, at least one a group; None for all.
      fused_key_blocks: blocks of keys up to which one kernel computes all gradients; beyond, two
        do, in less memory.

    Returns:
      ``[B, G, N, A, K]`` in the dtype of ``query``. Logits and softmax are float32.
    """
    tokens, keys = query.shape[2], key.shape[2]
    options = {"head_dim": query.shape[-1], "dtype": query.dtype}
    block, key_block = block_size(tokens, **options), block_size(keys, **options)
    query = _by_head(query * query.shape[-1] ** -0.5, block)
    key, value = _by_head(key, key_block), _by_head(value, key_block)

    missing = key.shape[3] - keys
    if valid is None:
        allowed = np.pad(np.ones((1, keys), np.int32), [(0, 0), (0, missing)]) if missing else None
    else:
        allowed = jnp.pad(jnp.asarray(valid, jnp.int32), [(0, 0), (0, missing)])
    if allowed is not None:
        allowed = jnp.broadcast_to(allowed, (query.shape[1], keys + missing))

    run = functools.partial(
        _run, block=block, key_block=key_block, fused_key_blocks=fused_key_blocks
    )
    # Decided when it is compiled, which need not be for the devices of this process.
    attended = jax.lax.platform_dependent(
        query,
        key,
        value,
        allowed,
        cpu=functools.partial(run, interpret=True),
        default=functools.partial(run, interpret=False),
    )
    return rearrange(attended[:, :, :, :tokens], "b g a n k -> b g n a k")


def _by_head(x: jax.Array, block: int) -> jax.Array:
    """``[B, G, N, A, K]`` as ``[B, G, A, N, K]``, with zeros at the end of N to whole blocks."""
    x = rearrange(x, "b g n a k -> b g a n k")
    return jnp.pad(x, [(0, 0), (0, 0), (0, 0), (0, -x.shape[3] % block), (0, 0)])


def _run(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    allowed: jax.Array | None,
    *,
    block: int,
    key_block: int,
    fused_key_blocks: int,
    interpret: bool,
) -> jax.Array:
    """The kernel over whole blocks, ``[B, G, A, N, K]``.

    ``allowed`` is int ``[G, M]``, 1 for a key that may be looked at and 0 for another, or None.
    """
    # Imported here, as Pallas takes a moment and most runs have no use for it.
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel as splash,
    )
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_mask as masks,
    )

    heads, tokens, keys = query.shape[2], query.shape[3], key.shape[3]
    fused = keys // key_block <= fused_key_blocks
    sizes = splash.BlockSizes(
        block_q=block,
        block_kv=key_block,
        block_kv_compute=key_block,
        block_q_dkv=block,
        block_kv_dkv=key_block,
        block_kv_dkv_compute=key_block,
        block_q_dq=None if fused else block,
        block_kv_dq=None if fused else key_block,
        use_fused_bwd_kernel=fused,
    )
    kernel = splash.make_splash_mha_single_device(
        mask=masks.MultiHeadMask([masks.FullMask((tokens, keys))] * heads),
        block_sizes=sizes,
        interpret=interpret,
        residual_checkpoint_name=KEPT,
    )

    def attend(query, key, value, allowed):
        if allowed is None:
            return kernel(query, key, value)
        # Every query, those that pad the last block too, is of segment 1, and has a key in it.
        everyone = jnp.ones(tokens, jnp.int32)
        return kernel(query, key, value, segment_ids=splash.SegmentIds(everyone, allowed))

    over_groups = jax.vmap(attend, in_axes=(0, 0, 0, None if allowed is None else 0))
    return jax.vmap(over_groups, in_axes=(0, 0, 0, None))(query, key, value, allowed)
