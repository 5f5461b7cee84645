"""The run directory: whose run it holds, and the files that a person looks at.

``config.json`` (resolved), ``dataset.json`` (counts, fingerprint), ``checkpoints/``,
``metrics.jsonl``, ``tensorboard/``, ``evaluation.json``, ``curves.png``, ``confusion.png``,
``contact_sheet.png``, ``report.html``.
"""

import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vidtx.config import RunSpec, differences, resolve, to_dict
from vidtx.errors import ConfigError


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    os.replace(temporary, path)


def load_spec(
    workdir: str | os.PathLike, checks: Callable[[RunSpec], Iterable[str]] = lambda spec: ()
) -> RunSpec:
    """The specification of the run in a directory; ``checks`` as of `vidtx.config.resolve`.

    Raises:
      ConfigError: there is none.
    """
    return resolve(_read(pathlib.Path(workdir) / "config.json"), checks)


def claim(workdir: str | os.PathLike, spec: RunSpec) -> pathlib.Path:
    """The directory of a run, new or its own.

    Raises:
      ConfigError: it holds a run of another config, or other files.
    """
    folder = pathlib.Path(workdir)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--workdir={workdir} is a file; name a directory.")
    path = folder / "config.json"
    if path.exists():
        different = differences(_read(path), to_dict(spec))
        if different:
            listing = "\n".join(f"  - {line}" for line in different)
            raise ConfigError(
                f"--workdir={workdir} holds a run of another config:\n{listing}\n"
                "Give another --workdir, or the config that this run was started with "
                f"({path}). Nothing was changed."
            )
    elif folder.exists() and any(folder.iterdir()):
        raise ConfigError(
            f"--workdir={workdir} holds files but no run ({path} is missing). Give a new or an "
            "empty directory."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, to_dict(spec))
    return folder


def claim_data(folder: pathlib.Path, description: Mapping[str, Any]) -> None:
    """Records which data the run reads.

    Raises:
      ConfigError: the run was started on other data.
    """
    path = folder / "dataset.json"
    if path.exists():
        then, now = _read(path)["fingerprint"], description["fingerprint"]
        if then != now:
            raise ConfigError(
                f"The run in {folder} was started on data with the fingerprint {then[:12]}; "
                f"data.data_dir now holds {description['name']} {description['version']} with "
                f"{now[:12]}. Point data.data_dir at the former data, or give another --workdir."
            )
    write_json(path, description)


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"{path.parent} holds no run: {path.name} is missing. Give the --workdir of a run."
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path} is damaged ({error}); restore it from a copy.") from error
