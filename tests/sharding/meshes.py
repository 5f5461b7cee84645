"""Meshes of simulated devices."""

import jax

from vidtx.config import MeshSpec
from vidtx.sharding import make_mesh


def factors(count, axes=4):
    """All ways to write a number as a product of so many, in order."""
    if axes == 1:
        return [(count,)]
    divisors = [number for number in range(1, count + 1) if count % number == 0]
    return [(first, *rest) for first in divisors for rest in factors(count // first, axes - 1)]


# Lengths of the four axes. With sequence or tensor 8 the clips of `steps` have too few frames and
# heads.
ALL = [lengths for lengths in factors(8) if max(lengths[2:]) <= 4]
# Each axis alone or with data, most pairs, and each three.
DEFAULT = [
    (8, 1, 1, 1), (1, 8, 1, 1), (2, 1, 4, 1), (2, 1, 1, 4), (2, 4, 1, 1), (1, 4, 2, 1),
    (1, 4, 1, 2), (1, 1, 4, 2), (2, 2, 2, 1), (2, 2, 1, 2), (2, 1, 2, 2), (1, 2, 2, 2),
]  # fmt: skip


def mesh_of(data=1, fsdp=1, sequence=1, tensor=1, *, devices=None):
    """The mesh with axes of these lengths: of the first devices, unless they are given."""
    lengths = (data, fsdp, sequence, tensor)
    if devices is None and -1 not in lengths:
        devices = jax.devices()[: data * fsdp * sequence * tensor]
    return make_mesh(MeshSpec(*lengths), devices)


def named(lengths):
    """A mesh's name in what is handed over as JSON."""
    return "x".join(map(str, lengths))
