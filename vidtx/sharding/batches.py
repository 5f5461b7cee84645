"""Where the rows of a batch lie, which of them a process reads, and how they get there."""

import collections
import math
from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidtx.errors import ConfigError
from vidtx.sharding.mesh import AXES, BATCH_AXES


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows of a batch split over the mesh; other axes whole."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def batch_parts(mesh: Mesh) -> int:
    """Into how many equal parts the rows of a batch are split; devices of a part share its rows."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def rows_of_process(mesh: Mesh, process: int | None = None) -> tuple[tuple[int, ...], int]:
    """Which rows of every batch a process feeds.

    Taken from where the rows lie, not from the number of processes: processes whose devices share
    rows read the same clips. On a torus of TPUs a host's devices are a square of it, and not
    neighbours in the mesh, so that its rows are several blocks as a rule.

    Args:
      mesh: the devices.
      process: its number; this one's, unless given.

    Returns:
      ``(blocks, count)``: numbers, in rising order, of those of ``count`` equal blocks of rows;
      as few blocks as there can be.

    Raises:
      ConfigError: some process would feed other rows than a second one, but not wholly others.
    """
    parts = _parts_of_processes(mesh)
    if any(a & b and a != b for a in parts.values() for b in parts.values()):
        devices = collections.Counter(device.process_index for device in mesh.devices.flat)
        raise ConfigError(
            f"On the mesh {dict(mesh.shape)}, of processes with {max(devices.values())} devices "
            "each, some clips are of one process in part and of another in part. Choose "
            "mesh.sequence times mesh.tensor so that it divides the devices of a process, or is "
            "a multiple of them."
        )
    process = jax.process_index() if process is None else process
    own, count = sorted(parts[process]), batch_parts(mesh)
    # The widest blocks of which these parts are whole ones.
    for width in range(len(own), 0, -1):
        starts = own[::width]
        whole = [start + offset for start in starts for offset in range(width)]
        if count % width == 0 and own == whole and not any(start % width for start in starts):
            return tuple(start // width for start in starts), count // width
    raise AssertionError("blocks of one part always fit")


def _parts_of_processes(mesh: Mesh) -> dict[int, set[int]]:
    """By process, the parts of a batch that lie on its devices."""
    outer = len(BATCH_AXES)
    assert AXES[:outer] == BATCH_AXES
    by_part = mesh.devices.reshape(batch_parts(mesh), -1)
    parts = collections.defaultdict(set)
    for part, devices in enumerate(by_part):
        for device in devices:
            parts[device.process_index].add(part)
    return parts


def place_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """A global batch on the mesh, from the rows that this process has read.

    Args:
      batch: arrays ``[b, ...]``, the rows that `rows_of_process` names, in the same order.
      mesh: the devices.

    Returns:
      Arrays ``[B, ...]``, split as `batch_sharding` has it.
    """
    sharding = batch_sharding(mesh)
    # With several processes JAX takes this for a transfer that nobody has asked for.
    with jax.transfer_guard_host_to_device("allow"):
        return {
            name: jax.make_array_from_process_local_data(sharding, rows)
            for name, rows in batch.items()
        }
