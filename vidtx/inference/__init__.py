"""Trained weights put to use: loaded, converted, asked about one's own videos."""

from vidtx.inference.answers import (
    ClassScore,
    FailedVideo,
    Prediction,
    Segment,
    Timeline,
    View,
)
from vidtx.inference.convert import convert
from vidtx.inference.load import Pretrained, load, load_pretrained
from vidtx.inference.predictor import Predictor, predict
from vidtx.inference.preprocessing import Preprocessing
from vidtx.inference.sources import open_source

__all__ = [
    "ClassScore",
    "FailedVideo",
    "Prediction",
    "Predictor",
    "Preprocessing",
    "Pretrained",
    "Segment",
    "Timeline",
    "View",
    "convert",
    "load",
    "load_pretrained",
    "open_source",
    "predict",
]
