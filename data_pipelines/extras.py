"""Libraries that only some uses need, and what is said where one is not installed."""

from __future__ import annotations

import importlib.util

from data_pipelines.errors import DataError

__all__ = ["MissingExtraError", "require"]


class MissingExtraError(DataError):
    """A library that only some uses need is not installed."""


def require(library: str, extra: str, use: str) -> None:
    """Checks that a library can be imported, without importing it.

    Args:
        library: The module's name, without dots.
        extra: Of the package vidtx, that brings it.
        use: What needs it, for the message.

    Raises:
        MissingExtraError: It cannot; says how it is installed.
    """
    if importlib.util.find_spec(library) is None:
        raise MissingExtraError(
            f"{use} needs {library}, which is not installed here. Install it with: "
            f"pip install 'vidtx[{extra}]'"
        )
