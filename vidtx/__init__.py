"""vidtx: video transformers, trained with JAX.

What needs JAX is imported when it is first used, so that commands which only touch data, and the
many processes that they start, do without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from vidtx._version import __version__

if TYPE_CHECKING:
    from vidtx.inference import load, predict
    from vidtx.models import create_model

__all__ = ["__version__", "create_model", "load", "predict"]

# Public name to the module that defines it.
_LAZY = {"create_model": "vidtx.models", "load": "vidtx.inference", "predict": "vidtx.inference"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
