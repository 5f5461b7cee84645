"""Digests of arrays: whether what comes back from a checkpoint is what went in."""

import jax
import jax.numpy as jnp

_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


def path_name(path: tuple) -> str:
    """A leaf's path in a tree, such as ``params.head.kernel``; dicts, tuples and fields alike."""
    return ".".join(
        str(next(getattr(entry, name) for name in ("key", "name", "idx") if hasattr(entry, name)))
        for entry in path
    )


def digests(tree) -> dict[str, int]:
    """A number for each array of a tree, by its path; any change of a single element changes it.

    The bits of element *i* are multiplied by ``2·i + 1`` and summed modulo 2³². Such a sum does not
    depend on its order, and so not on the mesh either.
    """
    paths = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    return dict(zip(paths, map(int, jax.device_get(_sums(jax.tree.leaves(tree)))), strict=True))


@jax.jit
def _sums(leaves: list[jax.Array]) -> list[jax.Array]:
    return [_sum(leaf) for leaf in leaves]


def _sum(leaf: jax.Array) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(leaf, _UNSIGNED[leaf.dtype.itemsize]).astype(jnp.uint32)
    weights = jnp.arange(leaf.size, dtype=jnp.uint32).reshape(leaf.shape) * 2 + 1
    return jnp.sum(bits * weights, dtype=jnp.uint32)
