"""Naming the line whose result was not a number."""

import contextlib
import pathlib
import traceback
from collections.abc import Iterator

from vidtx.errors import DivergedError

_PACKAGE = pathlib.Path(__file__).parents[1]


@contextlib.contextmanager
def nans_named() -> Iterator[None]:
    """Turns what `jax.debug_nans` raises into an error that names the operation and its line.

    Raises:
      DivergedError: an operation inside had a result that is not a number.
    """
    try:
        yield
    except FloatingPointError as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if pathlib.Path(frame.filename).is_relative_to(_PACKAGE)]
        where = f"{ours[-1].filename}:{ours[-1].lineno}: {ours[-1].line}" if ours else "unknown"
        raise DivergedError(
            f"{str(error).splitlines()[0]} First made in {where}. The checkpoints are older and "
            "sound."
        ) from error
