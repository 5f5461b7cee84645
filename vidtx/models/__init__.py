"""Video transformers: the table of attention schemes, and the model that they parametrise."""

from vidtx.models.create import SIZES, create_model
from vidtx.models.preprocess import normalize
from vidtx.models.schemes import SCHEMES, Scheme, get_scheme
from vidtx.models.timesformer import TimeSformer

__all__ = ["SCHEMES", "SIZES", "Scheme", "TimeSformer", "create_model", "get_scheme", "normalize"]
