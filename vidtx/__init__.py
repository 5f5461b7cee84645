"""vidtx: video transformers, trained with JAX."""

from vidtx.models import create_model

__all__ = ["create_model"]
