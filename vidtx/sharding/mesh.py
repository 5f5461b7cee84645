"""The device mesh, the rules that place weights and activations on it, and placing a batch."""

import contextlib
from collections.abc import Iterator, Mapping

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vidtx.config import MeshSpec
from vidtx.errors import ConfigError

BATCH_AXES = ("data", "fsdp")

# Logical axis → mesh axis. Weights are split along the embedding width, which every one of them
# has; activations along the batch alone.
RULES = (
    ("embed", "fsdp"),
    ("qkv", None),
    ("heads", None),
    ("fc", None),
    ("mlp", None),
    ("classes", None),
    ("act_batch", BATCH_AXES),
    ("act_frames", None),
    ("act_positions", None),
    ("act_embed", None),
)


def make_mesh(spec: MeshSpec) -> Mesh:
    """The mesh of a specification, over all devices of all processes.

    Raises:
      ConfigError: the axes' product is not the number of devices.
    """
    devices = jax.device_count()
    lengths = {"data": spec.data, "fsdp": spec.fsdp}
    fixed = int(np.prod([length for length in lengths.values() if length != -1]))
    free = [name for name, length in lengths.items() if length == -1]
    if (devices % fixed) if free else (devices != fixed):
        cure = "Lower mesh.fsdp" if spec.data == -1 else "Set mesh.data=-1 to take what is left"
        raise ConfigError(
            f"mesh is {lengths}, whose fixed axes hold {fixed} devices, but there are {devices}: "
            f"{'it must divide them' if free else 'the two must be equal'}. {cure}, or simulate "
            "devices with XLA_FLAGS=--xla_force_host_platform_device_count=8."
        )
    for name in free:
        lengths[name] = devices // fixed
    return jax.make_mesh(
        tuple(lengths.values()), tuple(lengths), axis_types=(AxisType.Auto,) * len(lengths)
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows of a batch split over the mesh; other axes whole."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def rows_of_process(mesh: Mesh, global_batch: int) -> tuple[int, int]:
    """Which part of every batch this process feeds: ``(index, count)`` of equal blocks of rows.

    Taken from where the batch's rows lie, not from the number of processes, so that processes
    which share rows read the same clips.

    Raises:
      ConfigError: this process's rows are not one block, as the loader reads them.
    """
    places = batch_sharding(mesh).addressable_devices_indices_map((global_batch,))
    spans = [span.indices(global_batch) for (span,) in places.values()]
    start, stop = min(span[0] for span in spans), max(span[1] for span in spans)
    rows = {row for span in spans for row in range(*span)}
    if len(rows) != stop - start or global_batch % len(rows):
        raise ConfigError(
            f"The mesh {dict(mesh.shape)} gives this process rows {sorted(rows)} of a batch of "
            f"{global_batch}, which are not one of several equal blocks; change mesh.data or "
            "mesh.fsdp."
        )
    return start // (stop - start), global_batch // (stop - start)


def place_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """A global batch on the mesh, from the rows that this process has read."""
    sharding = batch_sharding(mesh)
    # With several processes JAX takes this for a transfer that nobody has asked for.
    with jax.transfer_guard_host_to_device("allow"):
        return {
            name: jax.make_array_from_process_local_data(sharding, rows)
            for name, rows in batch.items()
        }


def weight_shardings(boxed, mesh: Mesh):
    """Where weights lie.

    Args:
      boxed: a tree of abstract arrays, boxed with their logical axis names where they have any.
      mesh: the mesh.

    Returns:
      A tree of `NamedSharding`, without boxes; what has no names is replicated.
    """
    return nn.logical_to_mesh_sharding(nn.get_partition_spec(boxed), mesh, RULES)


@contextlib.contextmanager
def use_mesh(mesh: Mesh) -> Iterator[None]:
    """Makes logical constraints mean something. Hold it round jitted calls only, never a save."""
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        yield
