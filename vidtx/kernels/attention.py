"""The plain attention step: one function on one group, carried over groups and clips by `jax.vmap`.

A backend of a step does everything between its two projections: it takes the fused query, key and
value of patches and class token, and returns what the output projection takes. Letters: ``B``
clips, ``T`` frames, ``H`` and ``W`` patch rows and columns, ``G`` groups, ``N`` tokens of a group,
``D`` embedding width, ``A`` heads, ``K`` head width.
"""

import jax
import jax.numpy as jnp
from einops import rearrange

from vidtx.kernels.grouping import Grouping


def attend(
    query: jax.Array, key: jax.Array, value: jax.Array, valid: jax.Array | None = None
) -> jax.Array:
    """Softmax attention inside one group (Eqs. 5 to 7).

    Args:
      query: ``[N, A, K]``.
      key: ``[M, A, K]``.
      value: ``[M, A, K]``.
      valid: bool ``[M]``, the keys that may be looked at; None for all.

    Returns:
      ``[N, A, K]`` in the dtype of ``value``. Logits and softmax are float32.
    """
    scale = query.shape[-1] ** -0.5
    logits = jnp.einsum("nak,mak->anm", query * scale, key, preferred_element_type=jnp.float32)
    if valid is not None:
        logits = jnp.where(valid, logits, jnp.finfo(logits.dtype).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(value.dtype)
    return jnp.einsum("anm,mak->nak", weights, value)


def grouped_attention(
    patches: jax.Array, class_tokens: jax.Array | None, grouping: Grouping, *, num_heads: int
) -> tuple[jax.Array, jax.Array | None]:
    """One attention step between its projections.

    Args:
      patches: fused query, key and value of the patches, ``[B, T, H, W, 3·D]``: query, then key,
        then value, each head-major.
      class_tokens: the same of the class token, ``[B, S, 3·D]`` with ``S`` either 1 (copied into
        every group) or ``G`` (one a group); None where the step treats patches alone.
      grouping: the groups.
      num_heads: ``A``.

    Returns:
      Attended patches ``[B, T, H, W, D]`` and attended class tokens ``[B, G, D]``, one a group
      (None without class tokens).
    """
    tokens = grouping.gather(patches)
    valid = grouping.valid
    if class_tokens is not None:
        batch, groups = tokens.shape[:2]
        copies = jnp.broadcast_to(class_tokens, (batch, groups, class_tokens.shape[-1]))
        tokens = jnp.concatenate([copies[:, :, None], tokens], axis=2)
        if valid is not None:
            valid = jnp.pad(valid, [(0, 0), (1, 0)], constant_values=True)
    query, key, value = rearrange(
        tokens, "b g n (three a k) -> three b g n a k", three=3, a=num_heads
    )
    # Nested over the two leading axes, in memory order: free on every backend, where mapping over
    # an inner axis costs half as much again on a TPU.
    over_groups = jax.vmap(attend, in_axes=(0, 0, 0, None if valid is None else 0))
    over_clips = jax.vmap(over_groups, in_axes=(0, 0, 0, None))
    attended = rearrange(over_clips(query, key, value, valid), "b g n a k -> b g n (a k)")
    if class_tokens is None:
        return grouping.scatter(attended), None
    return grouping.scatter(attended[:, :, 1:]), attended[:, :, 0]
