"""Trained weights put to use: loaded, converted."""

from vidtx.inference.convert import convert
from vidtx.inference.load import Pretrained, load, load_pretrained
from vidtx.inference.sources import open_source

__all__ = ["Pretrained", "convert", "load", "load_pretrained", "open_source"]
