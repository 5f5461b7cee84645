"""Files of a run, on this machine or in a bucket, of which nobody ever sees half.

A path is what `as_path` makes of it: pathlib's on this machine, etils' for ``gs://BUCKET/…``. An
object store has no folders, appends nothing and renames nothing; but what is uploaded appears
whole, and at once for everybody.
"""

import contextlib
import functools
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import TypeAlias

import fsspec
from etils import epath

from vidtx.errors import ConfigError, MachineError, VidtxError

Path: TypeAlias = pathlib.Path | epath.Path

_SCHEME = "gs://"
_LONGEST_CAUSE = 300
_CURE = (
    "Mend the network or the permissions (gcloud auth application-default login; the account needs "
    "storage.objects.* and storage.buckets.get of that bucket); the same command then goes on."
)


def as_path(path: str | os.PathLike[str]) -> Path:
    """The path of a file or folder, to be used with the functions here.

    Args:
      path: of this machine, or ``gs://BUCKET/…``.

    Raises:
      ConfigError: It is of another kind of store.
      MachineError: What reads buckets is not installed.
    """
    text = os.fspath(path)
    if text.startswith(_SCHEME):
        _prepare_for_buckets()
        return epath.Path(text)
    scheme, separator, _ = text.partition(":/")
    if separator and len(scheme) > 1 and scheme.isalnum():
        raise ConfigError(
            f"{text}: files can lie on this machine or in a bucket of Google Cloud Storage, "
            f"{_SCHEME}BUCKET/…, and not under {scheme}:/. Mount such storage as a folder."
        )
    return pathlib.Path(path)


def in_bucket(path: Path) -> bool:
    """Whether a path is in a bucket."""
    return not isinstance(path, pathlib.Path)


def absolute(path: str | os.PathLike[str]) -> str:
    """A path as text that means the same in any folder; raises as `as_path`."""
    path = as_path(path)
    return os.fspath(path) if in_bucket(path) else os.path.abspath(path)


def _prepare_for_buckets() -> None:
    try:
        fsspec.get_filesystem_class("gcs")
    except ImportError as error:
        raise MachineError(
            f"Paths in a bucket ({_SCHEME}…) need gcsfs, which cannot be imported here ({error}). "
            "Install it with: pip install 'vidtx[gcs]'"
        ) from error
    for name in ("fsspec", "gcsfs"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)  # what they raise they log, too, with stack traces
    # It would remember what it has listed, for ever; other processes write there too.
    fsspec.config.conf.setdefault("gcs", {}).setdefault("use_listings_cache", False)


def check_reachable(path: str | os.PathLike[str]) -> None:
    """Looks whether the bucket of a path, if it is in one, is there and may be looked into.

    Raises:
      ConfigError: There is no such bucket.
      MachineError: It cannot be reached, or this account may not look into it.
    """
    path = as_path(path)
    if in_bucket(path):
        name = os.fspath(path).removeprefix(_SCHEME).partition("/")[0]
        if not name:
            raise ConfigError(f"{os.fspath(path)} names no bucket; write {_SCHEME}BUCKET/….")
        _check_bucket(name)


@functools.cache  # of those that have been reached
def _check_bucket(name: str) -> None:
    bucket = epath.Path(f"{_SCHEME}{name}")
    if not exists(bucket):
        raise ConfigError(
            f"There is no bucket {bucket}, or it is empty and this account may not look at it "
            "(storage.buckets.get). Mend its name or the permissions, or make it: "
            f"gcloud storage buckets create {bucket} --location=REGION"
        )


def exists(path: Path) -> bool:
    """Whether there is such a file or folder.

    Raises:
      MachineError: That cannot be found out, as the bucket cannot be reached.
    """
    if not in_bucket(path):
        return path.exists()
    with _failures_told(path, "looked for"):
        try:
            path.stat()  # `exists` takes all that goes wrong for a no
        except FileNotFoundError:
            return False
        return True


def read_bytes(path: Path) -> bytes:
    """What a file holds.

    Raises:
      FileNotFoundError: There is no such file.
      OSError: It cannot be read on this machine.
      MachineError: It cannot be read from its bucket.
    """
    if not in_bucket(path):
        return path.read_bytes()
    with _failures_told(path, "read"):
        return path.read_bytes()


def write_bytes(path: Path, data: bytes) -> None:
    """Writes or replaces a file, whole or not at all; it is stored when this returns.

    Raises:
      OSError: It cannot be written on this machine.
      MachineError: It cannot be written to its bucket.
    """
    if in_bucket(path):
        with _failures_told(path, "written", absent_too=True):
            path.write_bytes(data)
        return
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # or the name may be there after a power cut, and nothing in it
    os.replace(temporary, path)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path on this machine; its file takes the place of `path` at the end.

    The temporary file keeps the suffix (picture libraries choose the format by it), and missing
    parent directories are made. When the block raises, `path` is left as it was.

    Args:
      path: The file to write or to replace.

    Yields:
      The path to write to.

    Raises:
      MachineError: It cannot be written to its bucket.
    """
    path = as_path(path)
    if in_bucket(path):
        with tempfile.TemporaryDirectory(prefix="vidtx-") as folder:
            temporary = pathlib.Path(folder, path.name)
            yield temporary
            write_bytes(path, temporary.read_bytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not `tempfile`: its files are readable by their owner alone, and runs are shared in teams.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _failures_told(path: Path, done: str, *, absent_too: bool = False) -> Iterator[None]:
    """Whatever a store's client raises becomes ours; that a file is absent only if asked for."""
    try:
        yield
    except VidtxError:
        raise
    # They are of many libraries (HTTP, credentials, the client), and share no class.
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not absent_too:
            raise
        cause = (str(error).strip() or type(error).__name__)[:_LONGEST_CAUSE]
        raise MachineError(f"{path} cannot be {done}: {cause}. {_CURE}") from error
