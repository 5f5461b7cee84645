"""A step that does not fit: by how much, and what would make it fit."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from vidtx.analysis.topology import Topology
from vidtx.errors import MachineError
from vidtx.run.programs import Programs
from vidtx.sharding import batch_parts, bytes_per_device

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
      state: weights, optimiser's state and averaged weights, and gradients when training.
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
    def rows_that_fit(self) -> int:
        """Rows for which there is room beside the state, and some to spare."""
        room = _SHARE * self.limit - self.state
        return max(0, int(room / self.a_row)) if self.a_row else 0


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
    arrays = programs.train_batch if is_train else programs.eval_batch
    lack = Lack(
        programs=programs,
        mode=mode,
        needed=needed,
        limit=limit,
        state=bytes_per_device(programs.abstract) + params if is_train else params,
        batch=bytes_per_device(arrays),
        rows=arrays["video"].shape[0] // parts,
    )
    kinds = "weights, optimiser and gradients" if is_train else "weights"
    cures = list(_cures(lack)) or [
        "more than one of train.global_batch, model.remat=full, mesh.fsdp and mesh.sequence, or a "
        "chip with more memory: v5p, tpu7x"
    ]
    listing = "\n".join(f"  - {cure}" for cure in cures)
    return DoesNotFitError(
        f"The {mode} step does not fit {topology.name}: it takes {_gib(needed)} on each device, "
        f"which has {_gib(limit)}, {_gib(needed - limit)} too much. Of it, {kinds} take "
        f"{_gib(lack.state)}, {lack.rows} {'clips' if is_train else 'videos'} {_gib(lack.batch)}, "
        f"and what is computed from them {_gib(lack.activations)}. Each of these would make it "
        f"fit, by estimate; compile again to be sure:\n{listing}\n(libtpu: {said})",
        needed,
        limit,
    )


def _cures(lack: Lack) -> Iterator[str]:
    """What would make the step fit, with what it would then take."""
    programs, fits = lack.programs, lack.rows_that_fit
    mesh, spec, parts = programs.mesh, programs.spec, batch_parts(programs.mesh)
    option = "train.global_batch" if lack.mode == "train" else "eval.global_batch"
    unit = 2 if lack.mode == "train" and (spec.train.mixup or spec.train.cutmix) else 1
    fits -= fits % unit
    if fits:
        yield (
            f"{option}={fits * parts}: {fits} instead of {lack.rows} on each device, "
            f"{_gib(lack.state + fits * lack.a_row)}"
        )
        more = next(n for n in range(2, lack.rows + 1) if lack.rows <= n * fits)
        yield f"{more} times as many chips, and mesh.data={more * mesh.shape['data']}"
    if lack.mode == "train":
        yield from _of_training(lack, fits)
    frames = programs.model.token_grid[0]
    room = _SHARE * lack.limit - lack.state
    counts = (n for n in range(2, min(frames, mesh.size) + 1) if mesh.size % n == 0)
    shared = next((n for n in counts if lack.a_row <= n * room), None)
    if not fits and shared:
        yield (
            f"mesh.sequence={shared} with mesh.data=-1 and {option}={mesh.size // shared}: so many "
            f"devices share a clip, {_gib(lack.state + lack.a_row / shared)}"
        )


def _of_training(lack: Lack, fits: int) -> Iterator[str]:
    programs, spec, model = lack.programs, lack.programs.spec, lack.programs.model
    mesh, itemsize = programs.mesh, np.dtype(model.dtype).itemsize
    params = bytes_per_device(programs.abstract.params)
    room = _SHARE * lack.limit - lack.state - params  # gradients are added up in a further copy
    counts = (n for n in range(2, lack.rows + 1) if lack.rows % n == 0)
    count = next((n for n in counts if lack.activations / n + lack.batch <= room), None)
    if count and fits:
        total = lack.state + params + lack.batch + lack.activations / count
        yield (
            f"train.accumulate={count * spec.train.accumulate}: the same batch in so many parts, "
            f"{_gib(total)}"
        )
    frames, rows, columns = model.token_grid
    clips = lack.rows / spec.train.accumulate / mesh.shape["sequence"]
    inputs = clips * frames * rows * columns * model.embed_dim * itemsize * model.depth
    kept = lack.state + lack.batch + lack.activations / model.depth + inputs
    if model.remat != "full" and kept <= _SHARE * lack.limit:
        yield (
            "model.remat=full: keeps the input of each block and computes the rest again, a third "
            f"more work, {_gib(kept)}; model.remat=products keeps more and computes less"
        )
    splits = (n for n in range(2, mesh.shape["data"] + 1) if mesh.shape["data"] % n == 0)
    rest = lack.activations + lack.batch
    split = next((n for n in splits if lack.state / n + rest <= _SHARE * lack.limit), None)
    if split and model.embed_dim % (split * mesh.shape["fsdp"]) == 0:
        yield (
            f"mesh.fsdp={split * mesh.shape['fsdp']} with mesh.data=-1: so many devices share the "
            f"state, {_gib(lack.state / split + rest)}"
        )
    if model.attention == "xla" and model.scheme == "joint":
        tokens = frames * rows * columns + 1
        logits = clips * model.num_heads * tokens**2 * 4
        yield f"model.attention=auto: no block stores its {_gib(logits)} of logits"


def _gib(size: float) -> str:
    return f"{size / _GIB:.2f} GiB"
