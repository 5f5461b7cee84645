"""What a run would load: of its own directory, or of another run. Nothing but names is read."""

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from vidtx.checkpoints import BestStore, CheckpointStore, Weights
from vidtx.checkpoints.reading import read_contract
from vidtx.checkpoints.weights import kind_of
from vidtx.config import RunSpec, differences, to_dict
from vidtx.errors import CheckpointError, MachineError, VidtxError
from vidtx.reporting.files import Path, absolute, as_path, in_bucket
from vidtx.run.contract import check_contract
from vidtx.run.pictures import evaluation_is_written
from vidtx.run.workdir import check_free, check_same_data, read_config

__all__ = ["Start", "describe_init_from", "describe_workdir"]


@dataclasses.dataclass(frozen=True)
class Start:
    """What would be loaded.

    Attributes:
      facts: as plain values, ready for JSON.
      refusals: why the run would not begin with it.
    """

    facts: dict[str, Any]
    refusals: tuple[VidtxError, ...] = ()


def describe_workdir(
    spec: RunSpec, workdir: str | os.PathLike, total: int | None, data: dict[str, Any] | None
) -> Start:
    """What a run directory holds, and what the run would do with it.

    Args:
      spec: the run.
      workdir: the directory, which need not be there.
      total: steps of the run, or None where that is not known.
      data: ``name``, ``version`` and ``fingerprint`` of the data set, or None where it is absent.

    Returns:
      ``status``: ``new``, ``resume`` after ``step``, ``finished``, ``another run`` (which
      ``differences`` tells apart) or ``not a run``; the steps of its ``checkpoints``, and of the
      ``best`` with their scores.
    """
    facts = {
        "directory": str(workdir),
        "status": "new",
        "step": 0,
        "checkpoints": [],
        "best": {},
        "differences": [],
    }
    try:
        folder = check_free(workdir, spec)
    except VidtxError as error:
        other = list(_differences(workdir, spec))
        status = "another run" if other else "not a run"
        return Start(facts | {"status": status, "step": None, "differences": other}, (error,))
    unwritable = tuple(_unwritable(folder))
    if not (folder / "config.json").exists():
        return Start(facts, unwritable)
    if (folder / "checkpoints").is_dir():
        facts["checkpoints"] = _steps(folder / "checkpoints")
    if (folder / "best").is_dir():
        with BestStore(folder, read_only=True, note=_unsaid) as best:
            facts["best"] = {str(step): score for step, score in best.scores.items()}
    step = max(facts["checkpoints"], default=0)
    finished = step == total and evaluation_is_written(folder, step)
    facts |= {"status": "finished" if finished else "resume", "step": step}
    try:
        if data is not None:
            check_same_data(folder, data)
    except VidtxError as error:
        return Start(facts, (error,))
    return Start(facts, () if finished else unwritable)


def describe_init_from(
    spec: RunSpec, source: str | os.PathLike, class_names: tuple[str, ...] | None
) -> Start:
    """What the checkpoint that a run is to begin with says of itself.

    Its arrays are not read, so that whether they are sound is not known.

    Args:
      spec: the run.
      source: as `vidtx.checkpoints.restore_weights` takes it.
      class_names: of the run's data set, or None where it is absent.

    Returns:
      The ``checkpoint`` and its ``step``; of the run that it is of, ``dataset``, ``classes``,
      ``model`` and ``scheme`` (None where nothing is on record); whether the ``head_fits`` (None
      where that is not known); ``notes``, what differs and may be meant so.
    """
    notes: list[str] = []
    facts: dict[str, Any] = {"source": str(source), "checkpoint": None, "notes": notes}
    try:
        checkpoint = _checkpoint(as_path(absolute(source)))
        contract = read_contract(checkpoint)
    except VidtxError as error:
        return Start(facts, (error,))
    known = contract or {}
    theirs = known.get("class_names")
    facts |= {
        "checkpoint": str(checkpoint),
        "step": int(checkpoint.name),
        "dataset": known.get("dataset"),
        "classes": theirs and len(theirs),
        "model": known.get("model.name"),
        "scheme": known.get("model.scheme"),
        "head_fits": tuple(theirs) == class_names if theirs and class_names else None,
    }
    named = Weights(checkpoint, facts["step"], False, {}, [], [], [], contract)
    try:
        check_contract(named, spec, notes.append)
    except VidtxError as error:
        return Start(facts, (error,))
    return Start(facts)


def _unwritable(folder: Path) -> Iterator[MachineError]:
    """Why nothing can be written in a directory, or where it would be made; of a bucket, nothing.

    Permissions do not say it of every file system, so that a file is opened there: one without a
    name, where the system has such, and otherwise one that is removed at once.
    """
    if in_bucket(folder):
        return
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield MachineError(
            f"--workdir={folder} cannot be written: {there}, the part of it that exists, takes no "
            f"files ({error.strerror}). Name a directory where you may write, or mend this one."
        )


def _differences(workdir: str | os.PathLike, spec: RunSpec) -> Iterator[str]:
    """Where the run in a directory is another; nothing where there is none that can be read."""
    with contextlib.suppress(VidtxError, OSError):
        # As JSON has them, in which tuples are lists.
        yield from differences(json.loads(json.dumps(read_config(workdir))), to_dict(spec))


def _checkpoint(path: Path) -> Path:
    """The folder of the newest checkpoint, or the best, of what ``path`` names.

    Raises:
      ConfigError, CheckpointError: there is none.
    """
    kind, folder = kind_of(path)
    if kind == "one":
        return folder
    if kind == "best":
        with BestStore(folder.parent, read_only=True, note=_unsaid) as best:
            steps = list(best.scores)[:1]
    else:
        steps = _steps(folder)
    if not steps:
        raise CheckpointError(
            f"{folder} holds no complete checkpoint: the run has not saved one yet. Train it on, "
            "or name another."
        )
    return folder / str(steps[-1])


def _steps(folder: Path) -> list[int]:
    with CheckpointStore(folder.parent, folder=folder.name, read_only=True, note=_unsaid) as store:
        return store.steps


def _unsaid(note: str) -> None:
    """Damage is told when a checkpoint is used."""
