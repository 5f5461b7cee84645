"""The weights alone of a checkpoint, for a run that begins with them. Its source stays as it is."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from vidtx.checkpoints.agreement import DamagedError, agreed
from vidtx.checkpoints.best import BestStore
from vidtx.checkpoints.digests import named_leaves, path_keys
from vidtx.checkpoints.folder import Folder
from vidtx.checkpoints.places import Path, absolute
from vidtx.checkpoints.reading import difference, read_contract, read_tree
from vidtx.errors import CheckpointError, ConfigError
from vidtx.sharding.processes import is_lead, raised_by_all

_HEAD = "head."
_EMBEDDING = "embedding."


@dataclasses.dataclass(frozen=True)
class Weights:
    """Parameters of a checkpoint; those not taken are of the head.

    Attributes:
      source: the checkpoint they are of.
      step: the updates that it had.
      averaged: whether they are the averaged ones.
      taken: the arrays by their names, such as ``block_0.mlp.fc1.kernel``.
      missing: names that the source lacks.
      mismatched: names that have another shape or type there.
      unused: names that only the source has.
      contract: what they ask of whoever uses them, as `CheckpointStore` was given it; None where
        nothing is on record.
    """

    source: Path
    step: int
    averaged: bool
    taken: dict[str, jax.Array]
    missing: list[str]
    mismatched: list[str]
    unused: list[str]
    contract: dict[str, Any] | None

    @property
    def has_head(self) -> bool:
        """Whether the head is among what was taken."""
        return any(name.startswith(_HEAD) for name in self.taken)

    def without_head(self) -> "Weights":
        """The same, with the head left to the caller."""
        taken = {name: leaf for name, leaf in self.taken.items() if not name.startswith(_HEAD)}
        return dataclasses.replace(self, taken=taken)

    def over(self, params: Any) -> Any:
        """``params`` with what was taken in the place of its own."""
        leaves = [self.taken.get(name, leaf) for name, leaf in named_leaves(params).items()]
        return jax.tree.unflatten(jax.tree.structure(params), leaves)


def restore_weights(
    path: str | os.PathLike, abstract_params: Any, note: Callable[[str], None] = print
) -> Weights:
    """Reads the parameters of a checkpoint and nothing else; the averaged ones, where there are.

    All must be there in the same shape and type, but for the head (``head.*``), whose number of
    classes may differ: it is then left to the caller, who keeps its own.

    Args:
      path: a run directory, for its newest checkpoint that is undamaged; its ``best`` folder, for
        the best; or one checkpoint, such as ``RUN/checkpoints/1400``.
      abstract_params: tree of `jax.ShapeDtypeStruct` with the shardings to restore onto.
      note: told what a person should know, a sentence each; in the first process alone.

    Raises:
      ConfigError: there is no such folder.
      CheckpointError: it holds no checkpoint that can be read, or one of another model.
      MachineError: memory does not suffice, or reading is not allowed.
    """
    path = absolute(path)
    kind, folder = agreed(lambda: kind_of(path))
    fit = _Fit(abstract_params)
    if kind == "one":
        found = int(folder.name), _read_one(folder, fit)
    elif kind == "best":
        with BestStore(folder.parent, read_only=True, note=note) as best:
            found = best.read_best(fit)
    else:
        run = Folder(folder, read_only=True, note=note)
        cure = "Restore one from a copy, or name another run."
        found = run.read_first(lambda: run.steps[::-1], fit, cure)
        run.close()
    if found is None:
        raise raised_by_all(
            CheckpointError(
                f"{folder} holds no complete checkpoint: the run has not saved one yet. Train it "
                "on, or name another."
            )
        )
    step, read = found
    source = folder if kind == "one" else folder / str(step)
    if fit.offending and is_lead():
        note(f"The head is not taken from {source}, it begins anew: {'; '.join(fit.offending)}.")
    return Weights(
        source=source,
        step=step,
        averaged=fit.field == "ema",
        taken=named_leaves(read[fit.field]),
        missing=fit.missing,
        mismatched=fit.mismatched,
        unused=fit.unused,
        contract=read_contract(source),
    )


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


def _read_one(folder: Path, fit: "_Fit") -> Any:
    try:
        return read_tree(folder, fit)
    except DamagedError as error:
        raise raised_by_all(
            CheckpointError(
                f"Checkpoint {folder} is damaged: {error}. Name another one, or the run directory, "
                "of which the newest undamaged one is taken."
            )
        ) from error


class _Fit:
    """Chooses what fits of a saved state's weights, and remembers of the last one what does not.

    Attributes:
      field: of the state, ``ema`` or ``params``.
      missing, mismatched, unused: names, as in `Weights`.
      offending: lines that say the same with shapes.
    """

    def __init__(self, abstract_params: Any):
        self._wanted = {
            tuple(path_keys(path)): leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(abstract_params)
        }

    def __call__(self, saved: Any, folder: Path) -> Any:
        self.field = "ema" if jax.tree.leaves(saved.get("ema")) else "params"
        there = named_leaves(saved.get(self.field, {}))
        wanted = {".".join(keys): leaf for keys, leaf in self._wanted.items()}
        lines = {
            name: line
            for name in sorted(there.keys() | wanted.keys())
            if (line := difference(name, there.get(name), wanted.get(name)))
        }
        self.missing = [name for name in lines if name not in there]
        self.unused = [name for name in lines if name not in wanted]
        self.mismatched = [name for name in lines if name in there and name in wanted]
        self.offending = list(lines.values())
        if any(not name.startswith(_HEAD) for name in lines):
            raise CheckpointError(_refusal(folder, lines))
        tree: dict = {}
        for keys, leaf in self._wanted.items():
            if ".".join(keys) not in lines:
                _put(tree, keys, leaf)
        return {"step": _step_like(wanted.values()), self.field: tree}


def _refusal(folder: Path, lines: dict[str, str]) -> str:
    listing = "\n".join(f"  - {line}" for name, line in lines.items() if not name.startswith(_HEAD))
    embeddings = (
        "Embeddings of another size are not converted: image size, patch size and frames must be "
        "the same. "
        if any(name.startswith(_EMBEDDING) for name in lines)
        else ""
    )
    return (
        f"The weights of checkpoint {folder} are not of this model:\n{listing}\n{embeddings}"
        "Use the model's options that it was trained with, of which only the number of classes may "
        "differ, or name another checkpoint."
    )


def _put(tree: dict, keys: tuple[str, ...], leaf: Any) -> None:
    *outer, last = keys
    for key in outer:
        tree = tree.setdefault(key, {})
    tree[last] = leaf


def _step_like(leaves: Iterable[jax.ShapeDtypeStruct]) -> jax.ShapeDtypeStruct:
    """The step's number where the weights are."""
    place = next(iter(leaves)).sharding
    if isinstance(place, NamedSharding):
        place = NamedSharding(place.mesh, PartitionSpec())
    return jax.ShapeDtypeStruct((), jnp.int32, sharding=place)
