"""Weights of any source written as a vidtx checkpoint or as a Hugging Face folder."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp

from vidtx.checkpoints import CheckpointStore
from vidtx.checkpoints.reading import first_line
from vidtx.errors import ConfigError, MachineError, VidtxError, explain
from vidtx.inference.load import Prepared, nested, prepare
from vidtx.weights import Report
from vidtx.weights.export_huggingface import (
    check_exportable,
    export_huggingface,
    export_notes,
    zero_tables,
)
from vidtx.weights.source import Array

__all__ = ["FORMATS", "convert"]

FORMATS = ("vidtx", "huggingface")
_REPORT = "conversion.json"


def convert(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    to: str = "vidtx",
    seed: int = 0,
    dry_run: bool = False,
    **changes: Any,
) -> Report:
    """Writes weights as another format, with a report of what became of every array.

    A folder appears whole or not at all: it is written beside ``target`` and renamed at the end.

    Args:
      source: as of `vidtx.inference.load_pretrained`.
      target: the folder to write; it must be absent or empty.
      to: ``vidtx``, a folder with one checkpoint, which `vidtx.load` and ``train.init_from`` take;
        or ``huggingface``, which ``TimesformerForVideoClassification.from_pretrained`` takes.
      seed: from which arrays are initialised that the source lacks.
      dry_run: do everything but compute and write.
      **changes: to the model, as of `vidtx.inference.prepare`.

    Returns:
      The report, which is also in ``conversion.json`` beside the weights.

    Raises:
      ConfigError: ``target`` is not empty, an argument does not fit, or the format cannot hold the
        model.
      CheckpointError: the source cannot be used.
      MachineError: the network, the storage or a library is missing; the disk is full.
    """
    if to not in FORMATS:
        raise ConfigError(f"to is {to!r}; it must be one of {', '.join(FORMATS)}.")
    place = _free(target)
    prepared = prepare(source, **changes)
    report = prepared.report
    if to == "huggingface":
        check_exportable(prepared.model)
        added = tuple(entry for _, entry in zero_tables(prepared.model).values())
        notes = export_notes(prepared.model, prepared.contract)
        report = Report((*report.entries, *added), (*report.notes, *notes))
    if dry_run:
        return report
    params = prepared.params(seed)
    with _appearing_whole(place) as folder:
        if to == "huggingface":
            export_huggingface(folder, prepared.model, params, prepared.contract)
        else:
            _write_checkpoint(folder, params, prepared.contract)
        record = json.dumps(_record(prepared, report, to, seed), indent=1, ensure_ascii=False)
        (folder / _REPORT).write_text(f"{record}\n", encoding="utf-8")
    return report


def _write_checkpoint(
    folder: pathlib.Path, params: Mapping[str, Array], contract: Mapping[str, Any]
) -> None:
    """As the state that a run would have after no step; read like any other run's weights."""
    leaves = {name: jnp.asarray(leaf) for name, leaf in params.items()}
    try:
        with CheckpointStore(folder, contract=contract) as store:
            store.save(0, {"step": jnp.zeros((), jnp.int32), "params": nested(leaves)})
    except MachineError as error:  # whose cure is that of a run
        cause = first_line(error.__cause__ or error)
        raise MachineError(
            f"The checkpoint could not be written: {cause}. Free space, or name a folder elsewhere."
        ) from error


def _record(prepared: Prepared, report: Report, to: str, seed: int) -> dict[str, Any]:
    """What was done, as plain values."""
    return {
        "source": str(prepared.source.path),
        "layout": prepared.source.layout,
        "to": to,
        "seed": seed,
        "contract": dict(prepared.contract),
        **report.to_dict(),
    }


def _free(target: str | os.PathLike) -> pathlib.Path:
    """The folder to write.

    Raises:
      ConfigError: something is there already, or it is in a bucket.
      MachineError: it may not be looked into.
    """
    text = os.fspath(target)
    if "://" in text:
        raise ConfigError(
            f"{text}: a conversion is written to a folder of this machine, where it can appear "
            "whole. Name one, and copy it to the bucket afterwards."
        )
    place = pathlib.Path(text).absolute()
    try:
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise ConfigError(f"{place} is there already and no folder. Name one that is new.")
        full = place.is_dir() and any(place.iterdir())
    except OSError as error:
        raise _unwritable(place, error) from error
    if full:
        raise ConfigError(
            f"{place} holds files, and nothing is ever written over. Name a folder that is new or "
            "empty, or empty this one."
        )
    return place


@contextlib.contextmanager
def _appearing_whole(place: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a folder beside ``place``, which takes its name when the block ends well.

    What a killed conversion left there goes first.

    Raises:
      ConfigError: another process is writing there, or what is there is no folder.
    """
    beside = place.with_name(f".{place.name}.unfinished")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir(exist_ok=True)
        # Not through a link: its target would be emptied.
        lock = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if (
            error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP)
            or not place.parent.is_dir()
        ):
            raise _unwritable(place, error) from None
        raise ConfigError(
            f"{beside}, where the conversion is written until it is whole, is a link or a file, "
            "which no conversion leaves there. Remove it, or name another folder."
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"Another conversion is writing {place}. Wait for it, or name another folder."
            ) from None
        _empty(beside)
        try:
            yield beside
            _flush(beside)
            os.rename(beside, place)  # of folders: onto none, or an empty one
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    finally:
        os.close(lock)


def _unwritable(place: pathlib.Path, error: OSError) -> VidtxError:
    """Why the folder to write cannot be made there, for whoever named it."""
    kind = type(explain(error) or ConfigError())
    return kind(
        f"The target (DST) {place} cannot be written: {error.filename}: {error.strerror}. Name a "
        "folder where you may write, or mend this one."
    )


def _empty(folder: pathlib.Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _flush(folder: pathlib.Path) -> None:
    """Waits until all that is in a folder is stored, or a power cut would leave names alone."""
    for path in (folder, *folder.rglob("*")):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
