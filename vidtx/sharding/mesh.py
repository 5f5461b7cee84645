"""The device mesh, and the rules that place weights and activations on it."""

import contextlib
import math
from collections.abc import Iterator, Sequence

import flax.linen as nn
import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vidtx.config import MeshSpec
from vidtx.errors import ConfigError

# The mesh's axes, from what needs least communication, and so may be split between slices and
# hosts, to what needs most.
AXES = ("data", "fsdp", "sequence", "tensor")
BATCH_AXES = ("data", "fsdp")

# Logical axis → mesh axis, a table for each way to split the work; of weights and, with names that
# begin with ``act_``, of activations. A mesh axis of length 1 splits nothing.
STRATEGIES = {
    "data": (("act_batch", BATCH_AXES),),
    # Along the embedding width, which every weight has.
    "fsdp": (("embed", "fsdp"),),
    # Frames or, for the step that mixes frames only, patch positions.
    "sequence": (("act_frames", "sequence"), ("act_positions", "sequence")),
    "tensor": (
        ("qkv", "tensor"),
        ("heads", "tensor"),
        ("mlp", "tensor"),
        ("act_heads", "tensor"),
        ("act_mlp", "tensor"),
    ),
    "none": (("fc", None), ("classes", None), ("act_embed", None)),
}
RULES = tuple(rule for rules in STRATEGIES.values() for rule in rules)


def make_mesh(spec: MeshSpec, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh of a specification.

    On TPUs it is laid out so that the axes to the right, which communicate most, have the nearest
    neighbours. Where the devices are several slices, which only the data-center network joins,
    ``data`` is split between slices before it is split within them, and the others lie within one.

    Args:
      spec: lengths of its axes.
      devices: all devices of all processes, unless given.

    Raises:
      ConfigError: the axes' product is not the number of devices, or an axis other than ``data``
        would reach from slice to slice.
    """
    here = devices is None
    devices = jax.devices() if here else devices
    try:
        lengths = axis_lengths(spec, len(devices))
    except ConfigError as error:
        if not here or devices[0].platform != "cpu":
            raise
        raise ConfigError(
            f"{error} Or simulate devices on this machine's CPU: "
            "XLA_FLAGS=--xla_force_host_platform_device_count=8."
        ) from None
    slices = _slices(devices)
    if lengths["data"] % slices:
        inner = len(devices) // slices
        rest = {axis: lengths[axis] for axis in AXES if axis != "data"}
        raise ConfigError(
            f"The {len(devices)} devices are {slices} slices of {inner}, and mesh.data is "
            f"{lengths['data']}; it must be a multiple of {slices}, as only gradients, once a "
            f"step, are worth sending between slices. Lower {' × '.join(rest)}, now "
            f"{math.prod(rest.values())}, to a divisor of {inner}."
        )
    # Without leave to split a torus' axes between the mesh's, most shapes would be refused.
    options = {"devices": devices, "allow_split_physical_axes": True}
    if slices > 1:
        within = (lengths["data"] // slices, *(lengths[axis] for axis in AXES[1:]))
        between = (slices, *(1 for _ in AXES[1:]))
        laid_out = mesh_utils.create_hybrid_device_mesh(within, between, **options)
    else:
        laid_out = mesh_utils.create_device_mesh(tuple(lengths.values()), **options)
    return Mesh(laid_out, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def axis_lengths(spec: MeshSpec, count: int) -> dict[str, int]:
    """Lengths of a mesh's axes, the free one filled in.

    Args:
      spec: lengths of its axes.
      count: of devices.

    Raises:
      ConfigError: the axes' product is not their number.
    """
    lengths = {axis: getattr(spec, axis) for axis in AXES}
    fixed = math.prod(length for length in lengths.values() if length != -1)
    free = [name for name, length in lengths.items() if length == -1]
    if (count % fixed) if free else (count != fixed):
        cure = "Lower another axis" if spec.data == -1 else "Set mesh.data=-1 to take what is left"
        raise ConfigError(
            f"mesh is {lengths}, whose fixed axes hold {fixed} devices, but there are {count}: "
            f"{'it must divide them' if free else 'the two must be equal'}. {cure}."
        )
    return lengths | dict.fromkeys(free, count // fixed)


def _slices(devices: Sequence[jax.Device]) -> int:
    """How many slices of TPUs these are; of GPUs, whose nodes JAX calls slices as well, one.

    What joins nodes of GPUs is made for every kind of communication, and in JAX's order a node's
    own devices are neighbours along the mesh's last axes anyway.
    """
    if devices[0].platform != "tpu":
        return 1
    return len({getattr(device, "slice_index", 0) for device in devices})


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


@contextlib.contextmanager
def use_mesh(mesh: Mesh) -> Iterator[None]:
    """Makes logical constraints mean something. Hold it round jitted calls only, never a save."""
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        yield
