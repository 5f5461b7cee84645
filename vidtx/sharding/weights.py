"""Where weights lie, what of them every device holds whole, and how much that is."""

import dataclasses
import math
import re
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh

from vidtx.sharding.mesh import RULES

# Axes that split weights.
WEIGHT_AXES = ("fsdp", "tensor")

# Smaller arrays are not worth a word: norms, biases, class tokens, and the heads of few classes.
MIN_WHOLE_BYTES = 2**20

# Lays the layers of a stack together, which differ in their number alone.
_LAYER = re.compile(r"(?<=_)\d+(?=\.)")


def weight_shardings(boxed: Any, mesh: Mesh) -> Any:
    """Where weights lie.

    Args:
      boxed: a tree of abstract arrays, boxed with their logical axis names where they have any.
      mesh: the mesh.

    Returns:
      A tree of `NamedSharding`, without boxes; what has no names is replicated.
    """
    return nn.logical_to_mesh_sharding(nn.get_partition_spec(boxed), mesh, RULES)


@dataclasses.dataclass(frozen=True)
class Whole:
    """A weight that every device holds whole, though the mesh could split it.

    Attributes:
      name: of the weight, its parts joined by dots; layers of a stack share one, as ``block_*``.
      count: layers that have it.
      shape: of one.
      nbytes: of all of them together.
      mesh_axis: the axis of the mesh that could split it.
      parts: into how many.
      dimension: of the weight that could be split: the longest that the mesh's axis divides.
    """

    name: str
    count: int
    shape: tuple[int, ...]
    nbytes: int
    mesh_axis: str
    parts: int
    dimension: int

    def __str__(self) -> str:
        """A line for a person."""
        layers = f"{self.count} × " if self.count > 1 else ""
        return (
            f"{self.name}, {layers}{list(self.shape)}, {self.nbytes / 1e6:,.1f} MB: mesh."
            f"{self.mesh_axis} could split its axis {self.dimension}, of "
            f"{self.shape[self.dimension]}, in {self.parts}"
        )


def left_whole(params: Any, mesh: Mesh, *, at_least: int = MIN_WHOLE_BYTES) -> list[Whole]:
    """The start-up check: weights that stay whole on every device though the mesh could split them.

    A weight that one axis of the mesh splits is none of them, nor is any on a mesh that is to split
    the batch alone.

    Args:
      params: a tree of `jax.ShapeDtypeStruct` with their places on the mesh.
      mesh: the mesh.
      at_least: size in bytes of the smallest that is told.

    Returns:
      The largest first.
    """
    found: dict[tuple, Whole] = {}
    for path, leaf in jax.tree.leaves_with_path(params):
        size = leaf.size * leaf.dtype.itemsize
        splits = _possible_split(leaf, mesh)
        if size < at_least or splits is None:
            continue
        axis, dimension = splits
        name = _LAYER.sub("*", jax.tree_util.keystr(path, simple=True, separator="."))
        before = found.get((name, leaf.shape))
        found[name, leaf.shape] = Whole(
            name=name,
            count=before.count + 1 if before else 1,
            shape=leaf.shape,
            nbytes=before.nbytes + size if before else size,
            mesh_axis=axis,
            parts=mesh.shape[axis],
            dimension=dimension,
        )
    return sorted(found.values(), key=lambda whole: -whole.nbytes)


def _possible_split(leaf: jax.ShapeDtypeStruct, mesh: Mesh) -> tuple[str, int] | None:
    """The longer of the axes that could split a weight that none does, and a dimension for it."""
    if leaf.sharding.shard_shape(leaf.shape) != leaf.shape:
        return None
    fitting = [
        (mesh.shape[axis], length, axis, dimension)
        for axis in WEIGHT_AXES
        for dimension, length in enumerate(leaf.shape)
        if mesh.shape[axis] > 1 and length % mesh.shape[axis] == 0
    ]
    return max(fitting)[2:] if fitting else None


def bytes_per_device(tree: Any) -> int:
    """Memory that arrays take on each device.

    Args:
      tree: of arrays, or of `jax.ShapeDtypeStruct`, with their places on a mesh.
    """
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )
