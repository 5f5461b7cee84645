"""What a run would load: of its own directory, and of the weights that it is to begin with.

Nothing but names and shapes is read, and nothing is fetched.
"""

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from vidtx.checkpoints import BestStore, CheckpointStore
from vidtx.checkpoints.weights import kind_of, look_at_weights
from vidtx.config import RunSpec, differences, to_dict
from vidtx.errors import CheckpointError, MachineError, VidtxError
from vidtx.inference.recorded import describe_weights
from vidtx.inference.sources import is_foreign, is_on_hub, open_for
from vidtx.reporting.files import Path, absolute, as_path, check_reachable, in_bucket
from vidtx.run.contract import check_contract, head_taken
from vidtx.run.pictures import evaluation_is_written
from vidtx.run.programs import CLASSES
from vidtx.run.setup import model_of
from vidtx.run.workdir import check_free, check_same_data, read_config
from vidtx.weights import Source
from vidtx.weights.match import match

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
    """What the weights that a run is to begin with say of themselves, and what would be taken.

    Arrays are not read, so that whether they are sound is not known. A model of the Hub is not
    fetched, and nothing is told of it.

    Args:
      spec: the run.
      source: as `vidtx.inference.open_source` takes it.
      class_names: of the run's data set, or None where it is absent.

    Returns:
      The ``checkpoint`` (of other libraries their path), its ``layout`` and ``step``; of the run
      that it is of, ``dataset``, ``classes``, ``model`` and ``scheme``, which is ``images`` of an
      image model (None where nothing is on record); whether the ``head_fits`` (None where that is
      not known); ``arrays``, how many would be used, resized, copied, new and dropped; ``notes``,
      these in words, and what differs and may be meant so.
    """
    notes: list[str] = []
    unknown = ("checkpoint", "layout", "step", "dataset", "classes", "model", "scheme")
    facts: dict[str, Any] = {
        "source": str(source),
        **dict.fromkeys((*unknown, "head_fits", "arrays")),
        "notes": notes,
    }
    if is_on_hub(source):
        notes.append("not looked at: it would be fetched when the run begins")
        return Start(facts | {"checkpoint": str(source), "layout": "Hugging Face Hub"})
    try:
        found, step = _found(spec, source, notes.append)
    except VidtxError as error:
        return Start(facts, (error,))
    architecture, contract = found.architecture, found.contract
    classes = architecture.num_classes
    known = len(class_names) if class_names else CLASSES.get(spec.data.name.partition(":")[0])
    keep_head, told = head_taken(found, known or classes or 1, class_names)
    facts |= {
        "checkpoint": found.path,
        "layout": found.layout,
        "step": step,
        "dataset": contract.get("dataset"),
        "classes": classes,
        "model": contract.get("model.name") or architecture.name,
        "scheme": "images" if architecture.is_image_model else architecture.scheme,
        # Where it is kept for want of names, that is told.
        "head_fits": None if keep_head and told else keep_head,
    }
    refusals = []
    try:
        check_contract(found, spec, notes.append)
    except VidtxError as error:
        refusals.append(error)
    model = model_of(spec, num_classes=known or classes or 1)
    try:
        own = match(found, model, resize=spec.train.init_resize, keep_head=keep_head)
    except VidtxError as error:
        return Start(facts, (*refusals, error))
    report = own.after(found.report)
    notes.extend(f"  {line}" for line in report.lines())
    notes.extend(f"    NOTE: {line}" for line in filter(None, [told]))
    return Start(facts | {"arrays": report.counts}, tuple(refusals))


def _found(
    spec: RunSpec, path: str | os.PathLike, note: Callable[[str], None]
) -> tuple[Source, int | None]:
    """The weights of a path, and the step of the run that they are of."""
    check_reachable(path)
    like = model_of(spec, num_classes=1)
    if is_foreign(path):
        return open_for(path, like, shapes_only=True), None
    damage: VidtxError | None = None
    for folder in _checkpoints(as_path(absolute(path))):
        try:
            weights = look_at_weights(folder)
        except CheckpointError as error:
            damage = damage or error
            note(f"{error} It would be passed over.")
            continue
        return describe_weights(weights, like=like), weights.step
    raise damage


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


def _checkpoints(path: Path) -> list[Path]:
    """The folders of the checkpoints that ``path`` names, in the order in which they are tried.

    Raises:
      ConfigError, CheckpointError: there is none.
    """
    kind, folder = kind_of(path)
    if kind == "one":
        return [folder]
    if kind == "best":
        with BestStore(folder.parent, read_only=True, note=_unsaid) as best:
            steps = list(best.scores)
    else:
        steps = _steps(folder)[::-1]
    if not steps:
        raise CheckpointError(
            f"{folder} holds no complete checkpoint: the run has not saved one yet. Train it on, "
            "or name another."
        )
    return [folder / str(step) for step in steps]


def _steps(folder: Path) -> list[int]:
    with CheckpointStore(folder.parent, folder=folder.name, read_only=True, note=_unsaid) as store:
        return store.steps


def _unsaid(note: str) -> None:
    """Damage is told when a checkpoint is used."""
