"""What a video shows: one class (``label``), or any number of them (``labels``, multi-label).

A data set holds either, or both. Whether one is read or the other is the caller's choice and never
guessed, so that a data set which gains ``labels`` trains as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines.errors import DatasetMissingError, NoLabelError

__all__ = [
    "LabelsMissingError",
    "check_labels",
    "class_names_of",
    "label_features",
    "no_targets",
    "targets_of",
]

# Shape, and kind of number apart from its width in bits.
_KINDS = {"label": ((), "i"), "labels": ((None,), "i")}


class LabelsMissingError(DatasetMissingError):
    """The data set has no labels of the kind that is asked for."""


class Labelled(Protocol):
    """A data set, or a split of one, that knows which labels its records hold."""

    name: str
    single_label: bool
    multi_label: bool


def label_features(class_names: Sequence[str], multi_label: bool) -> dict[str, object]:
    """Returns the TFDS feature of the labels, under its name.

    Args:
        class_names: In label order.
        multi_label: ``labels``, of any number of classes a video, instead of ``label``.
    """
    label = tfds.features.ClassLabel(names=list(class_names))
    return {"labels": tfds.features.Sequence(label)} if multi_label else {"label": label}


def class_names_of(
    features: Mapping[str, tfds.features.FeatureConnector],
) -> dict[str, tuple[str, ...]]:
    """Returns the class names of ``label`` and of ``labels``, for those of the two that there are.

    ``labels`` may be plain whole numbers beside a ``label`` with names. With other names than
    ``label`` has, they are labels of something else, and left out.
    """
    names = {}
    for key, (shape, kind) in _KINDS.items():
        if key not in features:
            continue
        feature = features[key]
        if feature.shape != shape or np.dtype(feature.np_dtype).kind != kind:
            continue
        classes = getattr(feature, "feature", None) if key == "labels" else feature
        if isinstance(classes, tfds.features.ClassLabel) and classes.num_classes:
            own = tuple(classes.names)
        else:
            own = names.get("label")
        if own is not None and names.get("label", own) == own:
            names[key] = own
    return names


def check_labels(data: Labelled, multi_label: bool) -> None:
    """Checks that a data set holds the labels that are asked for.

    Args:
        data: A data set's description, or a split of one.
        multi_label: Whether any number of classes a video is asked for, or exactly one.

    Raises:
        LabelsMissingError: It does not; names the cure.
    """
    if multi_label and not data.multi_label:
        raise LabelsMissingError(
            f"data set {data.name!r} has one class a video (`label`) and no `labels` of the same "
            "classes, which data.multi_label=True needs; set data.multi_label=False, or give each "
            "record `labels`, a sequence of class numbers."
        )
    if not multi_label and not data.single_label:
        raise LabelsMissingError(
            f"data set {data.name!r} has any number of classes a video (`labels`) and no `label`, "
            "which data.multi_label=False needs; set data.multi_label=True."
        )


def targets_of(record: Mapping, num_classes: int, multi_label: bool) -> dict[str, object]:
    """Returns what a clip of this record is trained towards.

    Args:
        record: As of a split; with ``labels`` if ``multi_label``, else with ``label``.
        num_classes: Number of classes, C.
        multi_label: Which of the two is read.

    Returns:
        ``labels``, uint8 [C], 1 for each class of the video (all 0 for one of no class); or
        ``label``, int.

    Raises:
        NoLabelError: A class is not known: -1, or in ``labels`` a number beyond the last.
    """
    if not multi_label:
        if record["label"] < 0:
            raise NoLabelError("its class is not known (label -1); give it one or leave it out.")
        return {"label": record["label"]}
    numbers = np.asarray(record["labels"], np.int64)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < num_classes:
        raise NoLabelError(
            f"its labels are {numbers.tolist()}, not all of them in 0 … {num_classes - 1}; mend "
            "them, or leave it out. A video of no class has no labels at all."
        )
    targets = no_targets(num_classes, multi_label)
    targets["labels"][numbers] = 1  # one that is named twice counts once
    return targets


def no_targets(num_classes: int, multi_label: bool) -> dict[str, object]:
    """Returns what stands for the targets of padding and of unreadable records: zeros."""
    return {"labels": np.zeros(num_classes, np.uint8)} if multi_label else {"label": 0}
