"""The run directory: whose run it holds, and the files that a person looks at.

``config.json`` (resolved), ``dataset.json`` (counts, fingerprint), ``init_from.json`` (what became
of the weights that it began with), ``checkpoints/``, ``metrics.jsonl``, ``tensorboard/``,
``evaluation.json``, ``clips.json`` (the best and the worst, to be played), ``status.json`` (how far
it is), ``curves.png``, ``confusion.png``, ``contact_sheet.png``, ``report.html``. It lies on this
machine or in a bucket.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from vidtx.config import RunSpec, differences, to_dict
from vidtx.errors import ConfigError
from vidtx.reporting import read_metrics
from vidtx.reporting.files import (
    Path,
    absolute,
    as_path,
    check_reachable,
    exists,
    in_bucket,
    read_bytes,
    write_bytes,
)

# What the scores of the best states depend on, beside the states.
_JUDGING = (
    ("data", "eval_split"),
    ("data", "eval_short_side"),
    ("eval", "temporal_views"),
    ("eval", "temporal_position"),
    ("eval", "spatial_crops"),
    ("eval", "average"),
)


def write_json(path: Path, value: Any) -> None:
    """Writes a file whole or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def check_places(spec: RunSpec, workdir: str | os.PathLike) -> None:
    """Looks whether the buckets that a run works with, if any, can be looked into.

    Not that of ``train.init_from``, which a run that goes on needs no more: `start.check_source`.

    Raises:
      ConfigError: one is not there, or a path is of another kind of store.
      MachineError: one cannot be reached.
    """
    for place in (workdir, spec.data.data_dir):
        check_reachable(place)


def read_config(workdir: str | os.PathLike) -> dict[str, Any]:
    """The resolved config of the run in a directory, with tuples for lists.

    Raises:
      ConfigError: there is none.
      MachineError: its bucket cannot be reached.
    """
    check_reachable(workdir)

    def tuples(value):
        if isinstance(value, dict):
            return {key: tuples(item) for key, item in value.items()}
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    return tuples(_read(as_path(workdir) / "config.json"))


def claim(workdir: str | os.PathLike, spec: RunSpec, data: Mapping[str, Any]) -> Path:
    """The directory of a run, new or its own, with its config and its data written down in it.

    Args:
      workdir: the directory.
      spec: the run.
      data: what it reads, as `RunData.to_dict` gives it.

    Raises:
      ConfigError: it holds a run of another config or on other data, or other files.
    """
    folder = check_free(workdir, spec)
    check_same_data(folder, data)
    metrics = folder / "metrics.jsonl"
    if exists(metrics):
        try:
            read_metrics(metrics)
        except ValueError as error:
            raise ConfigError(f"{error} Restore it from a copy, or delete it.") from error
    if not in_bucket(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", to_dict(spec))
    write_json(folder / "dataset.json", data)
    return folder


def check_claimed(folder: Path) -> None:
    """Refuses a directory that another process has claimed, where this one does not see that.

    Raises:
      ConfigError: it does not.
    """
    if not exists(folder / "config.json"):
        raise ConfigError(
            f"--workdir={folder} does not hold here what process 0 has written in it. Give a "
            "directory on storage that all processes share."
        )


def check_free(workdir: str | os.PathLike, spec: RunSpec) -> Path:
    """Refuses a directory that cannot be this run's; changes nothing.

    Raises:
      ConfigError: it holds a run of another config, or other files.
    """
    folder = as_path(workdir)
    there = folder
    while not in_bucket(there) and not there.exists():
        there = there.absolute().parent
    if exists(there) and not there.is_dir():
        raise ConfigError(f"--workdir={workdir}: {there} is a file; name a directory.")
    if exists(folder / "config.json"):
        check_same_run(folder, spec)
        _check_same_judging(folder, spec)
    elif exists(folder) and any(path.suffix != ".tmp" for path in folder.iterdir()):
        raise ConfigError(
            f"--workdir={workdir} holds files but no run ({folder / 'config.json'} is missing). "
            "Give a new or an empty directory."
        )
    return folder


def check_same_run(folder: Path, spec: RunSpec) -> None:
    """Refuses a directory whose run has another config, where that decides the trained model.

    Raises:
      ConfigError: it has, or there is no run.
    """
    path = folder / "config.json"
    different = differences(_read(path), to_dict(spec))
    if different:
        listing = "\n".join(f"  - {line}" for line in different)
        raise ConfigError(
            f"--workdir={folder} holds a run of another config:\n{listing}\n"
            f"Give another --workdir, or the config that this run was started with ({path}). "
            "Nothing was changed."
        )


def _check_same_judging(folder: Path, spec: RunSpec) -> None:
    """Refuses to compare the scores of the best states with those of another way of judging."""
    if not spec.checkpoint.keep_best or not any((folder / "best").glob("[0-9]*")):
        return
    then, now = _read(folder / "config.json"), to_dict(spec)
    different = [
        f"{group}.{key}: {then[group].get(key)!r} then, {now[group][key]!r} now"
        for group, key in _JUDGING
        if then[group].get(key) != now[group][key]
    ]
    if different:
        listing = "\n".join(f"  - {line}" for line in different)
        raise ConfigError(
            f"{folder / 'best'} holds states that were judged in another way:\n{listing}\n"
            "Their scores cannot be compared with those to come. Judge as before, or move that "
            "folder aside."
        )


@contextlib.contextmanager
def data_of_run_named(workdir: str | os.PathLike, data_dir: str) -> Iterator[None]:
    """Adds to an error where the run in ``workdir`` had its data, if not in ``data_dir``."""
    try:
        yield
    except ConfigError as error:
        path = as_path(workdir) / "dataset.json"
        if not exists(path):
            raise
        place = _read(path).get("data_dir")
        if place == absolute(data_dir):
            raise
        raise ConfigError(
            f"{error}\nThe run in {workdir} was trained on the data in {place}: give "
            f"--config.data.data_dir={place}"
        ) from error


def check_same_data(folder: Path, data: Mapping[str, Any]) -> None:
    """Refuses data other than those that a run was started on, where that is on record.

    Raises:
      ConfigError: they are.
    """
    path = folder / "dataset.json"
    if not exists(path):
        return
    then, now = _read(path)["fingerprint"], data["fingerprint"]
    if then != now:
        raise ConfigError(
            f"The run in {folder} was started on data with the fingerprint {then[:12]}; "
            f"data.data_dir now holds {data['name']} {data['version']} with {now[:12]}. Point "
            "data.data_dir at the former data, or give another --workdir."
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(read_bytes(path))
    except FileNotFoundError:
        raise ConfigError(
            f"{path.parent} holds no run: {path.name} is missing. Give the --workdir of a run."
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path} is damaged ({error}); restore it from a copy.") from error
