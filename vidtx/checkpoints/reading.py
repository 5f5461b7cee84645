"""Reading one checkpoint: all of a state or some of its arrays, compared with what was saved."""

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp

from vidtx.checkpoints.agreement import DamagedError, agreed
from vidtx.checkpoints.digests import digests, named_leaves
from vidtx.checkpoints.places import Path, unreachable
from vidtx.errors import CheckpointError, ConfigError, MachineError

Tree = TypeVar("Tree")

_MISMATCHES_SHOWN = 5
_LONGEST_CAUSE = 160


# Says what to read of a checkpoint: gets the tree of what was saved, whose leaves have a ``shape``
# and a ``dtype``, and the checkpoint's folder; gives a tree of `jax.ShapeDtypeStruct` with
# shardings, which has the names, shapes and types of what was saved, and the leaf ``step``. It may
# raise `CheckpointError`.
Choose = Callable[[Any, Path], Tree]


def read_tree(folder: Path, choose: Choose[Tree]) -> Tree:
    """Reads those arrays of a checkpoint that are wanted, in all processes or in none.

    Args:
      folder: the checkpoint's; its name is its step.
      choose: what of it.

    Raises:
      DamagedError: it cannot be read, or is not what was saved as this step.
      CheckpointError: raised by ``choose``.
      MachineError: memory does not suffice, or reading is not allowed.
    """
    restored, noted = agreed(lambda: _told_apart(folder, lambda: _read(folder, choose)))
    # Computed by all processes together.
    found = _told_apart(folder, lambda: digests(restored))
    agreed(lambda: _compare(folder, restored, found, noted))
    return restored


def read_facts(folder: Path, item: str) -> dict:
    """What was saved beside the state as JSON under the name ``item``.

    Raises:
      DamagedError, MachineError: as `read_tree`.
    """
    return agreed(lambda: _told_apart(folder, lambda: _facts(folder, item)))


def _read(folder: Path, choose: Choose[Tree]) -> tuple[Tree, dict]:
    # Not by Orbax's manager: that waits for the other processes, which may have failed by then.
    handler = ocp.PyTreeCheckpointHandler()
    saved = handler.metadata(folder / "state").tree
    if not jax.tree.leaves(saved):
        raise DamagedError("its list of arrays is missing")
    wanted = choose(saved, folder)
    # Partial, so that fields which hold no arrays may come and go.
    arguments = ocp.args.PyTreeRestore(
        item=wanted,
        restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
        partial_restore=True,
    )
    return handler.restore(folder / "state", args=arguments), _facts(folder, "digests")


def _facts(folder: Path, item: str) -> dict:
    facts = json.loads((folder / item / "metadata").read_text())
    if not isinstance(facts, dict):
        raise DamagedError(f"{item} is no table")
    return facts


def _compare(folder: Path, restored: Any, found: dict, noted: dict) -> None:
    changed = sorted(name for name in found if found[name] != noted.get(name))
    if changed:
        raise DamagedError(f"the stored bits of {changed[0]} have changed")
    step = int(named_leaves(restored)["step"])
    if str(step) != folder.name:
        raise DamagedError(f"it holds the state of step {step}")


def _told_apart(folder: Path, read: Callable[[], Tree]) -> Tree:
    """Calls ``read``; its errors become ours: it is not to be read here, or not at all."""
    try:
        return read()
    except (CheckpointError, ConfigError, MachineError, DamagedError):
        raise
    except (MemoryError, PermissionError, jax.errors.JaxRuntimeError) as error:
        raise MachineError(
            f"Checkpoint {folder.name} in {folder.parent} cannot be restored on this machine: "
            f"{first_line(error)}. Use more devices or memory, or mend the permissions."
        ) from error
    # Whatever else reading raises means that it cannot be read: storage errors reach us as bare
    # exceptions too.
    except Exception as error:
        if unreachable(folder, error):
            raise MachineError(
                f"Checkpoint {folder.name} in {folder.parent} cannot be read now: "
                f"{first_line(error)}. Mend the network or the permissions, and try again."
            ) from error
        raise DamagedError(first_line(error)) from error


def all_of(abstract: Tree) -> Choose[Tree]:
    """To read everything, which must be what ``abstract`` says."""

    def choose(saved: Any, folder: Path) -> Tree:
        mismatches = list(_mismatches(saved, abstract))
        if mismatches:
            more = len(mismatches) - _MISMATCHES_SHOWN
            listing = "\n".join(f"  - {line}" for line in mismatches[:_MISMATCHES_SHOWN])
            raise CheckpointError(
                f"Checkpoint {folder.name} in {folder.parent} is of another model or optimiser:\n"
                f"{listing}{f'{chr(10)}  - and {more} more' if more > 0 else ''}\n"
                "Use the config and the version of vidtx that it was saved with, or start anew in "
                "another --workdir. Nothing was changed."
            )
        return abstract

    return choose


def _mismatches(saved: Any, abstract: Any) -> Iterator[str]:
    """Where saved arrays and those asked for differ in name, shape or type, a line each."""
    before, after = named_leaves(saved), named_leaves(abstract)
    for name in sorted(before.keys() | after.keys()):
        if line := difference(name, before.get(name), after.get(name)):
            yield line


def difference(name: str, saved: Any, wanted: Any) -> str:
    """What differs in shape or type between two leaves; None stands for one that is not there."""
    described = [
        f"{leaf.dtype}{list(leaf.shape)}" if leaf is not None else "absent"
        for leaf in (saved, wanted)
    ]
    if described[0] == described[1]:
        return ""
    return f"{name}: {described[0]} saved, {described[1]} wanted"


def first_line(error: Exception) -> str:
    """The cause of an error, short."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = line.partition(" See full TensorStore details")[0]
    # Of a long one the end is told: there the storage layers put the cause.
    return line if len(line) <= _LONGEST_CAUSE else f"… {line[-_LONGEST_CAUSE:]}"
