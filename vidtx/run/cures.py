"""A step that does not fit: by how much, and what would make it fit."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh

from vidtx.analysis.topology import Topology
from vidtx.config import MeshSpec, RunSpec
from vidtx.errors import MachineError
from vidtx.run.backends import step_backends
from vidtx.run.programs import Programs
from vidtx.run.setup import problems
from vidtx.sharding import AXES, axis_lengths, batch_parts, bytes_per_device, make_mesh

_GIB = 2**30
_SHARE = 0.97  # of the memory, that an estimate may fill


class DoesNotFitError(MachineError):
    """The step takes more memory than a device has.

    Attributes:
      needed: bytes on each device.
      limit: bytes that a program may use.
    """

    def __init__(self, message: str, needed: float, limit: float):
        super().__init__(message)
        self.needed, self.limit = needed, limit


@dataclasses.dataclass(frozen=True)
class Lack:
    """What is known about a step that does not fit; bytes are of each device.

    Attributes:
      programs: the run's programs.
      mode: ``train`` or ``eval``.
      needed: all that the step takes.
      limit: what there is.
      state: weights, optimiser's state and averaged weights, and gradients when training: the sum
        of the parts' beside a part's own, where a batch is taken in parts.
      batch: clips.
      rows: rows of a device's part of the batch: clips, or videos of all their views.
    """

    programs: Programs
    mode: str
    needed: float
    limit: float
    state: int
    batch: int
    rows: int

    @property
    def activations(self) -> float:
        """The rest: what is computed on the way, which grows with the clips of a device."""
        return max(0.0, self.needed - self.state - self.batch)

    @property
    def a_row(self) -> float:
        """What grows with each row."""
        return (self.activations + self.batch) / self.rows

    @property
    def room(self) -> float:
        """What there is, with some to spare."""
        return _SHARE * self.limit

    @property
    def unit(self) -> int:
        """What rows must be a multiple of."""
        if self.mode == "eval":
            return 1
        train = self.programs.spec.train
        return train.accumulate * (2 if train.mixup or train.cutmix else 1)

    @property
    def option(self) -> str:
        """The option that says how many rows there are."""
        return f"{self.mode}.global_batch"

    def rows_that_fit(self, a_row: float) -> int:
        """Rows for which there is room beside the state, where each takes so much."""
        rows = max(0, int((self.room - self.state) / a_row)) if a_row else 0
        return rows - rows % self.unit

    def allows(self, changes: Mapping[str, int | str], times: int = 1) -> bool:
        """Whether the run is possible with these options, on so many times the devices."""
        mesh = self.programs.mesh

        def mesh_of(asked: MeshSpec) -> Mesh | AbstractMesh:
            if times == 1:
                return make_mesh(asked, list(mesh.devices.flat))
            lengths = axis_lengths(asked, times * mesh.size)
            types = (AxisType.Auto,) * len(AXES)
            return AbstractMesh(tuple(lengths[axis] for axis in AXES), AXES, axis_types=types)

        spec = _changed(self.programs.spec, changes)
        return not any(line for part in spec.problems() for line in part()) and not any(
            problems(spec, mesh_of)
        )

    def on_mesh(self, **lengths: int) -> dict[str, int]:
        """Options for such a mesh: ``data`` takes what is left, axes that are not named stay."""
        asked = {axis: getattr(self.programs.spec.mesh, axis) for axis in AXES}
        wanted = dict(self.programs.mesh.shape) | {"data": -1} | lengths
        return {f"mesh.{axis}": wanted[axis] for axis in AXES if wanted[axis] != asked[axis]}


def explain_lack(
    programs: Programs, topology: Topology, mode: str, needed: float, limit: float, said: str
) -> DoesNotFitError:
    """The error for a step that does not fit.

    Args:
      programs: of the run, on its mesh.
      topology: where it does not fit.
      mode: ``train`` or ``eval``.
      needed: bytes that it takes on each device.
      limit: bytes that there are.
      said: the compiler's own message.
    """
    params, parts = bytes_per_device(programs.abstract.params), batch_parts(programs.mesh)
    is_train = mode == "train"
    gradients = params * (1 if programs.spec.train.accumulate == 1 else 2)
    arrays = programs.train_batch if is_train else programs.eval_batch
    lack = Lack(
        programs=programs,
        mode=mode,
        needed=needed,
        limit=limit,
        state=bytes_per_device(programs.abstract) + gradients if is_train else params,
        batch=bytes_per_device(arrays),
        rows=arrays["video"].shape[0] // parts,
    )
    kinds = "weights, optimiser and gradients" if is_train else "weights"
    cures = list(_cures(lack)) or [
        f"more than one of {lack.option}, {'model.remat=full, ' if is_train else ''}mesh.fsdp and "
        "mesh.sequence, more chips, or chips with more memory (v5p, tpu7x)"
    ]
    rows = _count(lack.rows, "clip" if is_train else "video")
    listing = "\n".join(f"  - {cure}" for cure in cures)
    return DoesNotFitError(
        f"The {mode} step does not fit {topology.name}: it takes {_gib(needed)} on each device, "
        f"which has {_gib(limit)}, {_gib(needed - limit)} too much. Of it, {kinds} take "
        f"{_gib(lack.state)}, {rows} {_gib(lack.batch)}, "
        f"and what is computed from them {_gib(lack.activations)}. Each of these would make it "
        f"fit, by estimate; compile again to be sure:\n{listing}\n(libtpu: {said})",
        needed,
        limit,
    )


def _cures(lack: Lack) -> Iterator[str]:
    """What would make the step fit and the run not be refused, with what it would then take."""
    programs = lack.programs
    spec, parts = programs.spec, batch_parts(programs.mesh)
    fits = lack.rows_that_fit(lack.a_row)
    fewer = min(fits, lack.rows - 1)
    fewer -= fewer % lack.unit
    smaller = {lack.option: fewer * parts}
    if fewer > 0 and lack.allows(smaller):
        yield (
            f"{_written(smaller)}: {fewer} instead of {lack.rows} on each device, "
            f"{_gib(lack.state + fewer * lack.a_row)}"
        )
    counts = (n for n in range(2, lack.rows + 1) if spec.train.global_batch % (n * parts) == 0)
    wider = lack.on_mesh()
    more = next((n for n in counts if -(-lack.rows // n) <= fits and lack.allows(wider, n)), None)
    if more:
        rows = -(-lack.rows // more)
        yield (
            f"{more} times as many chips{f', and {_written(wider)}' if wider else ''}: {rows} "
            f"instead of {lack.rows} on each device, {_gib(lack.state + rows * lack.a_row)}"
        )
    if lack.mode == "train":
        yield from _of_training(lack)
    if not fits:
        yield from _of_sequence(lack)


def _of_sequence(lack: Lack) -> Iterator[str]:
    """More devices that share a clip, each with some of its frames: where not even one fits."""
    mesh, parts = lack.programs.mesh, batch_parts(lack.programs.mesh)
    frames, present = lack.programs.model.token_grid[0], mesh.shape["sequence"]
    for n in _factors(mesh.shape["data"]):
        share = -(-frames // (n * present)) / -(-frames // present)
        a_row = (lack.activations * share + lack.batch) / lack.rows
        rows = lack.rows_that_fit(a_row)
        changes = lack.on_mesh(sequence=n * present) | {lack.option: rows * parts // n}
        if rows and lack.allows(changes):
            yield (
                f"{_written(changes)}: {n * present} devices share a clip, "
                f"{_gib(lack.state + rows * a_row)}"
            )
            return


def _of_training(lack: Lack) -> Iterator[str]:
    programs, spec, model = lack.programs, lack.programs.spec, lack.programs.model
    mesh, itemsize = programs.mesh, np.dtype(model.dtype).itemsize
    # Gradients are added up in a further copy, which is there already where a batch is in parts.
    sums = bytes_per_device(programs.abstract.params) if spec.train.accumulate == 1 else 0
    for n in _factors(lack.rows):
        changes = {"train.accumulate": n * spec.train.accumulate}
        total = lack.state + sums + lack.batch + lack.activations / n
        if total <= lack.room and lack.allows(changes):
            yield f"{_written(changes)}: the same batch in so many parts, {_gib(total)}"
            break
    frames, rows, columns = model.token_grid
    clips = lack.rows / spec.train.accumulate / mesh.shape["sequence"]
    inputs = clips * frames * rows * columns * model.embed_dim * itemsize * model.depth
    kept = lack.state + lack.batch + lack.activations / model.depth + inputs
    full = {"model.remat": "full"}
    if model.remat != "full" and kept <= lack.room and lack.allows(full):
        less = "; model.remat=products keeps more and computes less"
        yield (
            f"{_written(full)}: keeps the input of each block and computes the rest again, a third "
            f"more work, {_gib(kept)}{less if model.remat == 'none' else ''}"
        )
    for n in _factors(mesh.shape["data"]):
        changes = lack.on_mesh(fsdp=n * mesh.shape["fsdp"])
        total = lack.state / n + lack.activations + lack.batch
        if total <= lack.room and lack.allows(changes):
            yield f"{_written(changes)}: so many devices share the state, {_gib(total)}"
            break
    auto = {"model.attention": "auto"}
    backends = step_backends(model.clone(attention="auto"), mesh.devices.flat[0].platform)
    if model.attention == "xla" and model.scheme == "joint" and "xla" not in backends.values():
        tokens = frames * rows * columns + 1
        logits = clips * model.num_heads / mesh.shape["tensor"] * tokens**2 * 4
        total = lack.needed - logits * (model.depth if model.remat == "none" else 1)
        if total <= lack.room and lack.allows(auto):
            yield f"{_written(auto)}: no block stores its {_gib(logits)} of logits"


def _factors(number: int) -> Iterator[int]:
    """Divisors from 2 on, the smallest first."""
    return (n for n in range(2, number + 1) if number % n == 0)


def _changed(spec: RunSpec, changes: Mapping[str, int | str]) -> RunSpec:
    for name, value in changes.items():
        part, field = name.split(".")
        changed = dataclasses.replace(getattr(spec, part), **{field: value})
        spec = dataclasses.replace(spec, **{part: changed})
    return spec


def _written(changes: Mapping[str, int | str]) -> str:
    return " and ".join(f"{name}={value}" for name, value in changes.items())


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _gib(size: float) -> str:
    return f"{size / _GIB:.2f} GiB"
