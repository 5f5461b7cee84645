"""What a record of a video data set holds, as TFDS features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines.labels import class_names_of, label_features

__all__ = ["features", "missing_feature", "types_of"]


def features(
    class_names: Sequence[str],
    multi_label: bool = False,
    *,
    storage: str = "video",
    built: bool = False,
    captions: bool = False,
) -> tfds.features.FeaturesDict:
    """Returns the TFDS features of a video data set.

    Args:
        class_names: In label order; label -1 means that none is known.
        multi_label: Each video has any number of classes, ``labels``, instead of one, ``label``.
        storage: ``video``, the bytes of one media file, or ``jpeg``: ``frames``, those of a JPEG
            for each frame.
        built: Records tell which stretch of which file they were made from, as those of
            `data_pipelines.build` do.
        captions: Records have captions.
    """
    second = tfds.features.Scalar(np.float32, doc="seconds")
    pictures = {
        "video": {"video": tfds.features.Scalar(np.object_, doc="bytes of one video file")},
        "jpeg": {"frames": tfds.features.Sequence(np.object_, doc="bytes of a JPEG a frame")},
    }
    source = {
        "source_start": second,
        "source_end": second,
        "source_sha256": tfds.features.Text(doc="of the file's bytes"),
    }
    caption = {"start": second, "end": second, "text": tfds.features.Text()}
    return tfds.features.FeaturesDict(
        {
            **pictures[storage],
            "video_id": tfds.features.Text(doc="unique within the data set"),
            **label_features(class_names, multi_label),
            "num_frames": tfds.features.Scalar(np.int32),
            "height": tfds.features.Scalar(np.int32, doc="pixels, upright"),
            "width": tfds.features.Scalar(np.int32, doc="pixels, upright"),
            "fps": tfds.features.Scalar(np.float32, doc="mean frames per second"),
            **(source if built else {}),
            **({"captions": tfds.features.Sequence(caption)} if captions else {}),
        }
    )


def missing_feature(found: Mapping[str, tfds.features.FeatureConnector]) -> str | None:
    """Returns what a data set lacks to be one of ours, or None.

    Args:
        found: Its features.
    """
    video, jpeg = features(["any"]), features(["any"], storage="jpeg")
    pictures = {"video": video["video"], "frames": jpeg["frames"]}
    if not any(_alike(found, key, feature) for key, feature in pictures.items()):
        return " or ".join(f"{key}: {feature}" for key, feature in pictures.items())
    for key, feature in video.items():
        whole = class_names_of(found) if key == "label" else _alike(found, key, feature)
        if not whole and key != "video":
            return f"{key}: {feature}"
    return None


def _alike(found: Mapping, key: str, feature: tfds.features.FeatureConnector) -> bool:
    """Whether there is such a feature, of that shape and kind of number apart from its width."""
    return key in found and _kind(found[key]) == _kind(feature)


def _kind(feature: tfds.features.FeatureConnector) -> tuple:
    """Returns a feature's shape and kind of number."""
    if isinstance(feature.shape, dict):
        return ("nested",)
    return feature.shape, np.dtype(feature.np_dtype).kind


def types_of(found: Mapping[str, tfds.features.FeatureConnector]) -> dict[str, object]:
    """Returns shape and type of each feature, in words that do not change with TFDS."""
    return {key: _type(feature.shape, feature.np_dtype) for key, feature in found.items()}


def _type(shape: object, dtype: object) -> object:
    if isinstance(shape, Mapping):
        return {key: _type(shape[key], dtype[key]) for key in shape}
    return (shape, np.dtype(dtype).name)
