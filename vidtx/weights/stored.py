"""Arrays as they lie in files of NumPy and safetensors: names, shapes and types before values."""

import dataclasses
import json
import math
import pathlib
import struct
import zipfile
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import safetensors

from vidtx.errors import CheckpointError

BFLOAT16 = np.dtype(jnp.bfloat16)  # which NumPy does not have of its own
FLOATS = ("float32", "float16", "bfloat16", "float64")
_SAFETENSORS = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "BOOL": "bool",
}
_AGAIN = "It is incomplete or damaged: download or copy it again."


@dataclasses.dataclass(frozen=True)
class Stored:
    """An array in a file.

    Attributes:
      shape: its shape.
      dtype: its type, as NumPy calls it, or whatever its file calls it.
      read: reads it, where ``dtype`` is one of ``FLOATS``.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


def damaged(path: pathlib.Path, error: BaseException | str) -> CheckpointError:
    """The error of a file that cannot be read to its end."""
    return CheckpointError(f"{path} cannot be read: {str(error) or repr(error)}. {_AGAIN}")


def npz_arrays(path: pathlib.Path) -> dict[str, Stored]:
    """The arrays of a file that `numpy.savez` wrote; nothing in it is unpickled.

    Raises:
      CheckpointError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _npz_array(path, archive, name)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # a damaged archive, or array in it, can fail in any way
        raise damaged(path, error) from error


def _npz_array(path: pathlib.Path, archive: zipfile.ZipFile, name: str) -> Stored:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(file)
        start = file.tell()
    # Before anything of that size is made room for. Objects are never read.
    held = archive.getinfo(name).file_size - start
    if not dtype.hasobject and (
        min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held
    ):
        raise ValueError(f"{name} says that it is {dtype.name}{list(shape)}, and has {held} bytes")
    # NumPy writes bfloat16 as two bytes of nothing in particular.
    bfloat16 = dtype == np.dtype("V2")

    def read() -> np.ndarray:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(name) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:
            raise damaged(path, f"{name}: {str(error) or repr(error)}") from error
        return array.view(BFLOAT16) if bfloat16 else array

    return Stored(shape, "bfloat16" if bfloat16 else dtype.name, read)


def safetensors_arrays(path: pathlib.Path) -> dict[str, Stored]:
    """The arrays of a safetensors file.

    Raises:
      CheckpointError: it is damaged.
    """
    try:
        with safetensors.safe_open(path, "np"):  # checks the header, and the file's length by it
            pass
    except safetensors.SafetensorError as error:
        raise damaged(path, error) from error
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    start = 8 + length
    return {name: _safetensor(path, start, entry) for name, entry in header.items()}


def _safetensor(path: pathlib.Path, start: int, entry: dict) -> Stored:
    shape = tuple(entry["shape"])
    dtype = _SAFETENSORS.get(entry["dtype"], entry["dtype"])

    def read() -> np.ndarray:
        # The library's own reader has no bfloat16 for NumPy.
        kind = BFLOAT16 if dtype == "bfloat16" else np.dtype(dtype)
        offset = start + entry["data_offsets"][0]
        with path.open("rb") as file:
            file.seek(offset)
            return np.fromfile(file, kind, math.prod(shape)).reshape(shape)

    return Stored(shape, dtype, read)
