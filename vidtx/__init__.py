"""vidtx: video transformers, trained with JAX."""

from vidtx._version import __version__
from vidtx.models import create_model

__all__ = ["__version__", "create_model"]
