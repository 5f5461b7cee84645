"""Digests of arrays: whether what comes back from a checkpoint is what went in."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


def path_keys(path: tuple) -> list[str]:
    """The names on the way to a leaf of a tree; of dicts, tuples and fields alike."""
    return [
        str(next(getattr(entry, name) for name in ("key", "name", "idx") if hasattr(entry, name)))
        for entry in path
    ]


def path_name(path: tuple) -> str:
    """A leaf's path in a tree, such as ``params.head.kernel``."""
    return ".".join(path_keys(path))


def named_leaves(tree) -> dict:
    """The leaves of a tree by their paths' names."""
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def digests(tree) -> dict[str, int]:
    """A number for each array of a tree, by its path; any change of a single element changes it.

    The bits of element *i* are multiplied by ``2·i + 1`` and summed modulo 2³². Such a sum does not
    depend on its order, and so not on the mesh either. Arrays may span processes; all of these then
    call this, and get the same.
    """
    leaves = named_leaves(tree)
    sums = _compiled(_everywhere(leaves.values()))(list(leaves.values()))
    return dict(zip(leaves, map(int, jax.device_get(sums)), strict=True))


def _everywhere(leaves) -> NamedSharding | None:
    """A copy on every device of the mesh, so that every process can read it."""
    for leaf in leaves:
        if isinstance(getattr(leaf, "sharding", None), NamedSharding):
            return NamedSharding(leaf.sharding.mesh, PartitionSpec())
    return None


@functools.cache
def _compiled(place: NamedSharding | None) -> Callable:
    return jax.jit(lambda leaves: [_sum(leaf) for leaf in leaves], out_shardings=place)


def _sum(leaf: jax.Array) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(leaf, _UNSIGNED[leaf.dtype.itemsize]).astype(jnp.uint32)
    weights = jnp.arange(leaf.size, dtype=jnp.uint32).reshape(leaf.shape) * 2 + 1
    return jnp.sum(bits * weights, dtype=jnp.uint32)
