"""Writing a file so that a reader, or a killed run, never sees half of it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path` that takes its place when the block succeeds.

    The temporary file keeps the suffix (picture libraries choose the format by it), and missing
    parent directories are made. When the block raises, `path` is left as it was.

    Args:
      path: The file to write or to replace.

    Yields:
      The path to write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not `tempfile`: its files are readable by their owner alone, and runs are shared in teams.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
