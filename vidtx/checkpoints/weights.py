"""The weights alone of a checkpoint, for whoever begins with them. Their source stays as it is."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from vidtx.checkpoints.agreement import DamagedError, agreed
from vidtx.checkpoints.best import BestStore
from vidtx.checkpoints.digests import named_leaves
from vidtx.checkpoints.folder import Folder
from vidtx.checkpoints.places import Path, absolute, exists, unreachable
from vidtx.checkpoints.reading import first_line, read_tree
from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.sharding.processes import raised_by_all


@dataclasses.dataclass(frozen=True)
class Weights:
    """Parameters of a checkpoint.

    Attributes:
      source: the checkpoint they are of.
      step: the updates that it had.
      averaged: whether they are the averaged ones.
      shapes: of all that are there, by their names, such as ``block_0.mlp.fc1.kernel``.
      contract: what they ask of whoever uses them, as `CheckpointStore` was given it; None where
        nothing is on record.
      taken: the arrays that were read, by name.
    """

    source: Path
    step: int
    averaged: bool
    shapes: Mapping[str, jax.ShapeDtypeStruct]
    contract: Mapping[str, Any] | None
    taken: Mapping[str, jax.Array] = dataclasses.field(default_factory=dict)


# Says what to read of a checkpoint of which nothing is read yet, and where that shall lie, by name.
# It talks to no other process, and may raise `CheckpointError` or `ConfigError`.
Choose = Callable[[Weights], Mapping[str, Sharding]]


def everything(weights: Weights) -> dict[str, Sharding]:
    """To read all of them onto the first device of this process."""
    return dict.fromkeys(weights.shapes, SingleDeviceSharding(jax.local_devices()[0]))


def restore_weights(
    path: str | os.PathLike, choose: Choose = everything, note: Callable[[str], None] = print
) -> Weights:
    """Reads parameters of a checkpoint and nothing else; the averaged ones, where there are.

    Args:
      path: a run directory, for its newest checkpoint that is undamaged; its ``best`` folder, for
        the best; or one checkpoint, such as ``RUN/checkpoints/1400``.
      choose: which of them, and where they shall lie.
      note: told what a person should know, a sentence each; in the first process alone.

    Raises:
      ConfigError: there is no such folder.
      CheckpointError: it holds no checkpoint that can be read, or what ``choose`` raises.
      MachineError: memory does not suffice, or reading is not allowed.
    """
    path = absolute(path)
    kind, folder = agreed(lambda: kind_of(path))
    reader = _Reader(choose)
    if kind == "one":
        found = int(folder.name), _read_one(folder, reader)
    elif kind == "best":
        with BestStore(folder.parent, read_only=True, note=note) as best:
            found = best.read_best(reader)
    else:
        run = Folder(folder, read_only=True, note=note)
        cure = "Restore one from a copy, or name another run."
        found = run.read_first(lambda: run.steps[::-1], reader, cure)
        run.close()
    if found is None:
        raise raised_by_all(
            CheckpointError(
                f"{folder} holds no complete checkpoint: the run has not saved one yet. Train it "
                "on, or name another."
            )
        )
    _, read = found
    field = "ema" if reader.found.averaged else "params"
    return dataclasses.replace(reader.found, taken=named_leaves(read[field]))


def look_at_weights(folder: Path) -> Weights:
    """What a checkpoint holds, of which no array is read; for one process.

    Args:
      folder: of one checkpoint.

    Raises:
      CheckpointError: its list of arrays cannot be read, or holds no parameters.
      MachineError: it cannot be reached.
    """
    try:
        saved = ocp.PyTreeCheckpointHandler().metadata(folder / "state").tree
    except Exception as error:  # as in `reading`
        if unreachable(folder, error):
            raise MachineError(
                f"{folder} cannot be read now: {first_line(error)}. Mend the network or the "
                "permissions, and try again."
            ) from error
        raise CheckpointError(
            f"Checkpoint {folder} is damaged: {first_line(error)}. Name another one."
        ) from error
    return _found(saved, folder)


def kind_of(path: Path) -> tuple[str, Path]:
    """What a path of weights names: ``run``, ``best`` or ``one``, and the folder of its states.

    Args:
      path: a run directory, its ``best`` folder, or one checkpoint.

    Raises:
      ConfigError: it is none of these.
    """
    known = "a run directory, its best folder, or one checkpoint such as RUN/checkpoints/1400"
    try:
        if not path.is_dir():
            raise ConfigError(f"There is no folder {path}. Name {known}.")
        if (path / "checkpoints").is_dir():
            return "run", path / "checkpoints"
    except OSError as error:
        raise ConfigError(f"{path} cannot be looked into: {error}. Name {known}.") from error
    if path.name in ("best", "checkpoints"):
        return {"best": "best", "checkpoints": "run"}[path.name], path
    if path.name.isdecimal():
        return "one", path
    raise CheckpointError(f"{path} holds no checkpoints. Name {known}.")


def _read_one(folder: Path, choose: Callable[[Any, Path], Any]) -> Any:
    try:
        return read_tree(folder, choose)
    except DamagedError as error:
        raise raised_by_all(
            CheckpointError(
                f"Checkpoint {folder} is damaged: {error}. Name another one, or the run directory, "
                "of which the newest undamaged one is taken."
            )
        ) from error


class _Reader:
    """Chooses among a saved state's weights, and remembers what it found of the last one.

    Attributes:
      found: the weights, none of them read.
    """

    def __init__(self, choose: Choose):
        self._choose = choose

    def __call__(self, saved: Any, folder: Path) -> Any:
        self.found = _found(saved, folder)
        places = self._choose(self.found)
        tree: dict = {}
        for name, place in places.items():
            _put(tree, name.split("."), self.found.shapes[name].update(sharding=place))
        field = "ema" if self.found.averaged else "params"
        return {"step": _step_beside(places), field: tree}


def _found(saved: Mapping[str, Any], folder: Path) -> Weights:
    averaged = bool(jax.tree.leaves(saved.get("ema")))
    leaves = named_leaves(saved.get("ema" if averaged else "params", {}))
    if not leaves:
        raise CheckpointError(
            f"Checkpoint {folder} holds no parameters: it was not written by a run of vidtx. Name "
            "another one."
        )
    return Weights(
        source=folder,
        step=int(folder.name),
        averaged=averaged,
        shapes={
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in leaves.items()
        },
        contract=_contract(folder),
    )


def _contract(folder: Path) -> dict[str, Any] | None:
    """What was saved beside the state, if anything; the other processes are not waited for."""
    place = folder / "contract"
    if not exists(place):
        return None
    try:
        facts = json.loads((place / "metadata").read_text())
        if isinstance(facts, dict):
            return facts
        cause = "it is no table"
    except (ValueError, FileNotFoundError) as error:
        cause = first_line(error)
    raise CheckpointError(
        f"{place}, which says how clips were prepared for these weights, is damaged: {cause}. "
        "Restore it from a copy, or name another checkpoint."
    )


def _put(tree: dict, keys: list[str], leaf: Any) -> None:
    *outer, last = keys
    for key in outer:
        tree = tree.setdefault(key, {})
    tree[last] = leaf


def _step_beside(places: Mapping[str, Sharding]) -> jax.ShapeDtypeStruct:
    """The step's number where the weights are."""
    place = next(iter(places.values()))
    if isinstance(place, NamedSharding):
        place = NamedSharding(place.mesh, PartitionSpec())
    return jax.ShapeDtypeStruct((), jnp.int32, sharding=place)
