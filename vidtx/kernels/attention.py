"""Attention in groups of tokens, by any backend; the plain one is here.

A backend does everything between query, key and value and what the output projection takes.
Letters: ``B`` clips, ``G`` groups, ``N`` queries and ``M`` keys of a group, ``A`` heads, ``K`` head
width.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from vidtx.kernels import cudnn, splash

# From so many keys on, the backward pass is given weights in the dtype of the computation alone.
_LEAN_KEYS = 128


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
    if key.shape[0] < _LEAN_KEYS:
        return _forward(query, key, value, valid)[0]
    return _lean_attend(query, key, value, valid)


def _weigh(scaled, key, valid):
    """Attention weights ``[A, N, M]``, float32, of queries times ``K ** -0.5``."""
    logits = jnp.einsum("nak,mak->anm", scaled, key, preferred_element_type=jnp.float32)
    if valid is not None:
        logits = jnp.where(valid, logits, jnp.finfo(logits.dtype).min)
    return jax.nn.softmax(logits, axis=-1)


def _forward(query, key, value, valid):
    scaled = query * query.shape[-1] ** -0.5
    weights = _weigh(scaled, key, valid).astype(value.dtype)
    attended = jnp.einsum("anm,mak->nak", weights, value)
    return attended, (scaled, key, value, weights, attended)


def _backward(kept, given):
    scaled, key, value, weights, attended = kept
    by_value = jnp.einsum("anm,nak->mak", weights, given)
    by_weights = jnp.einsum("nak,mak->anm", given, value, preferred_element_type=jnp.float32)
    # Of a row of the softmax, what its gradient takes away is Σ_m w_nm ∂w_nm, which is o_n · ∂o_n.
    means = jnp.einsum("nak,nak->an", attended, given, preferred_element_type=jnp.float32)
    by_logits = (weights * (by_weights - means[..., None])).astype(scaled.dtype)
    by_query = jnp.einsum("anm,mak->nak", by_logits, key) * scaled.shape[-1] ** -0.5
    by_key = jnp.einsum("anm,nak->mak", by_logits, scaled)
    return by_query, by_key, by_value, None


# Differentiating a softmax would keep its weights in float32 as well. Where groups are short, what
# is kept is padded to whole tiles of a TPU's memory in either dtype, and the compiler does better
# with its own gradient.
_lean_attend = jax.custom_vjp(lambda *arguments: _forward(*arguments)[0])
_lean_attend.defvjp(_forward, _backward)


def attend_groups(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    valid: jax.Array | np.ndarray | None = None,
    *,
    backend: str,
) -> jax.Array:
    """Softmax attention inside every group of every clip.

    Queries may be fewer than keys, where devices share a group's queries. The compiler does not
    split splash and cudnn over devices: with several, call them inside `jax.shard_map`, with
    ``check_vma=False``.

    Args:
      query: ``[B, G, N, A, K]``.
      key: ``[B, G, M, A, K]``.
      value: ``[B, G, M, A, K]``.
      valid: bool ``[G, M]``, the keys that may be looked at; None for all.
      backend: what computes it, from `choose_backend`.

    Returns:
      ``[B, G, N, A, K]`` in the dtype of ``value``. Logits and softmax are float32.

    Raises:
      ValueError: no such backend.
    """
    if backend == "splash":
        return splash.attend_groups(query, key, value, valid)
    if backend == "cudnn":
        return cudnn.attend_groups(query, key, value, valid)
    if backend != "xla":
        raise ValueError(f"backend is {backend!r}; it must be xla, splash or cudnn.")
    # Nested over the two leading axes, in memory order: free on every backend, where mapping over
    # an inner axis costs half as much again on a TPU.
    over_groups = jax.vmap(attend, in_axes=(0, 0, 0, None if valid is None else 0))
    return jax.vmap(over_groups, in_axes=(0, 0, 0, None))(query, key, value, valid)


def attend_groups_observed(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    valid: jax.Array | np.ndarray | None,
    observe: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    """`attend_groups` by the plain backend, its weights shown to whoever wants to look.

    Args:
      query: ``[B, G, N, A, K]``.
      key: ``[B, G, M, A, K]``.
      value: ``[B, G, M, A, K]``.
      valid: bool ``[G, M]``, the keys that may be looked at; None for all.
      observe: is given the weights, float32 ``[B, G, A, N, M]``, each row of which sums to 1 over
        ``M``, and returns those that are used.

    Returns:
      As `attend_groups`.
    """
    over_groups = jax.vmap(_weigh, in_axes=(0, 0, None if valid is None else 0))
    weights = jax.vmap(over_groups, in_axes=(0, 0, None))(
        query * query.shape[-1] ** -0.5, key, valid
    )
    weights = observe(weights).astype(value.dtype)
    return jnp.einsum("bganm,bgmak->bgnak", weights, value)
