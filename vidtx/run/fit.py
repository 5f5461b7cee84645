"""Whether model, batch and mesh fit together, and what a mesh leaves on every device."""

from collections.abc import Callable, Iterator

from jax.sharding import AbstractMesh, Mesh

from vidtx.config import MeshSpec, RunSpec
from vidtx.errors import ConfigError
from vidtx.models import SCHEMES, TimeSformer
from vidtx.run.backends import refused_backends
from vidtx.sharding import (
    AXES,
    batch_parts,
    bytes_per_device,
    left_whole,
    rows_of_process,
)
from vidtx.training import TrainState

MeshOf = Callable[[MeshSpec], Mesh | AbstractMesh]

# Of the weights that the start-up check finds.
_MAX_LISTED = 8


def misfits(spec: RunSpec, model: TimeSformer | None, mesh_of: MeshOf | None) -> Iterator[str]:
    """What is impossible about model, batch and mesh together, a sentence each.

    Args:
      spec: the run.
      model: its model; None where that is impossible itself, which is told elsewhere.
      mesh_of: makes the mesh, of devices that are here or not; None where nothing is known of them.
    """
    if any(spec.mesh.problems()):
        return
    lengths = {axis: getattr(spec.mesh, axis) for axis in AXES}
    try:
        mesh = None if mesh_of is None else mesh_of(spec.mesh)
    except ConfigError as error:
        yield str(error)
    else:
        lengths = lengths if mesh is None else dict(mesh.shape)
        yield from _of_batch(spec, mesh)
        if model is not None and isinstance(mesh, Mesh):
            yield from refused_backends(model, mesh.devices.flat[0].platform)
    if model is not None:
        # Of an axis that takes what is left, and could not, nothing is known.
        yield from _of_model({axis: max(1, length) for axis, length in lengths.items()}, model)


def _of_batch(spec: RunSpec, mesh: Mesh | AbstractMesh | None) -> Iterator[str]:
    batch, parts = spec.train.global_batch, spec.train.accumulate
    pair = 2 if spec.train.mixup or spec.train.cutmix else 1
    shares = 1 if mesh is None else batch_parts(mesh)
    if parts >= 1 and batch % (shares * parts * pair):
        reasons = [f"the {shares} parts that mesh.data times mesh.fsdp split a batch into"]
        reasons = reasons if shares > 1 else []
        reasons += [f"train.accumulate {parts}"] if parts > 1 else []
        reasons += ["2, as mixup and cutmix take clips in pairs"] if pair > 1 else []
        yield f"train.global_batch is {batch}; it must be a multiple of {' times '.join(reasons)}."
    if not isinstance(mesh, Mesh):
        return  # there are no processes, whose rows could lie amiss
    try:
        rows_of_process(mesh)
    except ConfigError as error:
        yield str(error)


def _of_model(lengths: dict[str, int], model: TimeSformer) -> Iterator[str]:
    splits = (
        ("fsdp", "embedding width", model.embed_dim, "along which weights are split"),
        ("tensor", "number of heads", model.num_heads, "which are split between devices"),
        ("tensor", "MLPs' hidden width", model.mlp_dim, "which is split between devices"),
    )
    for axis, name, length, why in splits:
        if length % lengths[axis]:
            yield f"mesh.{axis} is {lengths[axis]}; it must divide the {name} {length}, {why}."
    for name, length in _split_by_sequence(model):
        if lengths["sequence"] > length:
            yield (
                f"mesh.sequence is {lengths['sequence']}, but clips have only {length} {name} to "
                "split; the devices beyond would have nothing to do. Lower it; mesh.data or "
                "mesh.fsdp takes what is left."
            )


def _split_by_sequence(model: TimeSformer) -> Iterator[tuple[str, int]]:
    """What devices along ``sequence`` split of a clip in some step, and how many there are."""
    frames, rows, columns = model.token_grid
    yield "frames", frames
    if any(step.splits == "positions" for step in SCHEMES[model.scheme].steps):
        yield "patch positions", rows * columns


def state_lines(abstract: TrainState, model: TimeSformer, mesh: Mesh) -> Iterator[str]:
    """What a run's state takes on every device, and what of it the mesh does not split.

    Args:
      abstract: shapes and places of the state.
      model: the model.
      mesh: the devices.

    Yields:
      Lines for a person, as the summary of a run has them.
    """
    weights, state = bytes_per_device(abstract.params), bytes_per_device(abstract)
    yield (
        f"state    {state / 1e6:,.1f} MB on each device, {weights / 1e6:,.1f} MB of it weights; "
        "activations come on top"
    )
    found = left_whole(abstract.params, mesh)
    if found:
        yield (
            "         every device holds these weights whole, though the mesh could split them "
            "(no rule does):"
        )
        yield from (f"           {whole}" for whole in found[:_MAX_LISTED])
    if len(found) > _MAX_LISTED:
        rest = sum(whole.nbytes for whole in found[_MAX_LISTED:])
        yield f"           and {len(found) - _MAX_LISTED} more, {rest / 1e6:,.1f} MB"
    yield from (f"         {line}" for line in _uneven(model, mesh))


def _uneven(model: TimeSformer, mesh: Mesh) -> Iterator[str]:
    """Splits of a clip that leave some devices with less to do than others."""
    parts = mesh.shape["sequence"]
    for name, length in _split_by_sequence(model):
        if length % parts:
            most = -(-length // parts)
            yield (
                f"mesh.sequence {parts} does not divide {length} {name}: each device has the time "
                f"and the memory of {most}, where {length / parts:.1f} would do"
            )
