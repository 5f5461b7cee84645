"""Which files of a path hold weights, and what is in them."""

import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

from vidtx.errors import CheckpointError, ConfigError
from vidtx.weights import pytorch
from vidtx.weights.stored import Stored, damaged, npz_arrays, safetensors_arrays

SUFFIXES = (".npz", ".safetensors", ".pth", ".pt", ".bin", ".pyth", ".ckpt")
_INDEX = ".index.json"
# What a folder's weights are called, the best first; an index names shards.
NAMES = (
    "model.safetensors",
    f"model.safetensors{_INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{_INDEX}",
)
# Under which a training program keeps a model's weights among other things, the surest first.
_CONTAINERS = ("model_state", "state_dict", "model")
_LONGEST_HEADER = 100_000_000  # that safetensors reads, in bytes
_KNOWN = "NumPy's .npz, .safetensors and PyTorch's files (.pth, .pt, .bin, .pyth) are read"


@dataclasses.dataclass(frozen=True)
class Found:
    """Weights that were found.

    Attributes:
      path: the file, or the index of shards.
      arrays: by their names in the file.
      container: the entry that they were under; None where they are all that the file holds.
      extras: what else the file holds.
      folder: the folder whose ``config.json`` is of these weights; None where none is known to be.
    """

    path: pathlib.Path
    arrays: Mapping[str, Stored]
    container: str | None
    extras: Mapping[str, Any]
    folder: pathlib.Path | None


def weights_file(path: pathlib.Path) -> pathlib.Path | None:
    """The file that holds the weights of a path, or the index of such files; None where none does.

    Args:
      path: a file, or a folder as libraries save models in.

    Raises:
      ConfigError: a folder holds several, and none has a name that says that it is the one.
    """
    if not path.is_dir():
        return path if path.is_file() else None
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    others = sorted(item for item in path.iterdir() if item.suffix in SUFFIXES and item.is_file())
    if len(others) > 1:
        names = ", ".join(item.name for item in others)
        raise ConfigError(f"{path} holds several files of weights: {names}. Name one of them.")
    return others[0] if others else None


def open_weights(path: str | os.PathLike) -> Found:
    """Finds weights and lists what is there; values are read later, one by one.

    Args:
      path: a file of NumPy, safetensors or PyTorch, an index of shards, or a folder of these.

    Raises:
      ConfigError: there is nothing, or no telling which file is meant.
      CheckpointError: the file is damaged, or holds no weights.
      MachineError: it needs PyTorch, which is not installed.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise ConfigError(f"There is no file or folder {path}.")
    file = weights_file(path)
    if file is None:
        raise CheckpointError(f"{path} holds no file of weights: {_KNOWN}.")
    held = _shards(file) if file.name.endswith(_INDEX) else _open(file)
    container, arrays, extras = _unpacked(file, held)
    own = path.is_dir() or file.name in NAMES
    return Found(file, arrays, container, extras, file.parent if own else None)


def _open(file: pathlib.Path) -> Any:
    kind = _kind(file)
    if kind == "npz":
        return npz_arrays(file)
    return safetensors_arrays(file) if kind == "safetensors" else pytorch.load(file)


def _kind(file: pathlib.Path) -> str:
    """npz, safetensors or pytorch, by what is in the file; names lie."""
    with file.open("rb") as opened:
        start = opened.read(64)
    if not start:
        raise CheckpointError(f"{file} is empty: download or copy it again.")
    # First of all, as it begins with a length, which may look like anything.
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < _LONGEST_HEADER:
        return "safetensors"
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{file} is a pointer of Git LFS in the place of the weights: run `git lfs pull` there."
        )
    if start.startswith(b"PK"):
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # a damaged archive can fail in any way
            raise damaged(file, error) from error
        if any(name.endswith("data.pkl") for name in names):
            return "pytorch"
        if any(name.endswith(".npy") for name in names):
            return "npz"
    elif start[:1] == b"\x80":  # a pickle
        return "pytorch"
    elif start.lstrip()[:1] == b"<":
        raise CheckpointError(
            f"{file} is a web page, not weights: the download needs a login, or its address is "
            "another one. Download it again."
        )
    raise CheckpointError(f"{file} is no file of weights that vidtx knows: {_KNOWN}.")


def _shards(index: pathlib.Path) -> dict[str, Any]:
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(places.values()))
        strange = [shard for shard in shards if pathlib.PurePath(shard).name != shard]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(index, f"it is no index of shards ({error!r})") from error
    if strange:
        raise CheckpointError(f"{index} names files outside its folder: {', '.join(strange)}.")
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise CheckpointError(
            f"{index} names shards that are not beside it: {', '.join(missing)}. Download them "
            "into the same folder."
        )
    held: dict[str, Any] = {}
    elsewhere = []
    for shard in shards:
        for key, array in _unpacked(index.parent / shard, _open(index.parent / shard))[1].items():
            if places.get(key) == shard:
                held[key] = array
            else:
                elsewhere.append(f"{key} in {shard} (by the index in {places.get(key, 'none')})")
    absent = [f"{key} in {places[key]}" for key in sorted(places.keys() - held.keys())]
    lines = [
        *(f"  - arrays that are not where it says: {', '.join(absent)}" for _ in absent[:1]),
        *(f"  - arrays where it names none: {', '.join(elsewhere)}" for _ in elsewhere[:1]),
    ]
    if lines:
        listing = "\n".join(lines)
        raise CheckpointError(
            f"{index} and its shards are of different models:\n{listing}\nDownload all of them "
            "again."
        )
    return held


def _unpacked(file: pathlib.Path, held: Any) -> tuple[str | None, dict, dict]:
    """Where among what a file holds the weights are: their container, they, and the rest."""
    if not isinstance(held, dict):
        kind = "array" if isinstance(held, Stored) else type(held).__name__
        raise CheckpointError(
            f"{file} holds one {kind}, not arrays by their names: save a model's state_dict()."
        )
    held = {str(name): value for name, value in held.items()}
    for name in _CONTAINERS:
        if isinstance(held.get(name), dict) and _arrays(held[name]):
            inner = {str(key): value for key, value in held.pop(name).items()}
            arrays = _arrays(inner)
            rest = {f"{name}.{key}": inner[key] for key in inner.keys() - arrays.keys()}
            return name, arrays, held | rest
    arrays = _arrays(held)
    if not arrays:
        entries = ", ".join(sorted(held)) or "nothing"
        raise CheckpointError(
            f"{file} holds no weights: its entries are {entries}, and none of "
            f"{', '.join(_CONTAINERS)} with arrays."
        )
    return None, arrays, {name: held[name] for name in held.keys() - arrays.keys()}


def _arrays(held: Mapping[Any, Any]) -> dict[str, Stored]:
    return {str(name): value for name, value in held.items() if isinstance(value, Stored)}
