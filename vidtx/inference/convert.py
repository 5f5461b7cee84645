"""Weights of any source written as a vidtx checkpoint or as a Hugging Face folder."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from vidtx.checkpoints import CheckpointStore
from vidtx.checkpoints.reading import first_line
from vidtx.errors import ConfigError, MachineError
from vidtx.inference.load import Prepared, nested, prepare
from vidtx.inference.whole_folder import appearing_whole, free_folder
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
    place = free_folder(target, "conversion", "DST")
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
    with appearing_whole(place, "conversion", "DST") as folder:
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
