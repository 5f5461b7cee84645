"""Reading the data sets of TFDS that hold videos as frames, which needs TensorFlow.

TFDS stores each frame of such a video as a PNG or a JPEG (``tfds.features.Video``, or a sequence of
``tfds.features.Image``), under a feature whose name differs from data set to data set, and does not
store how many frames a second there are. TensorFlow is imported by TFDS, and by nothing here.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines.errors import DatasetMissingError, UndecodableError
from data_pipelines.extras import require

__all__ = ["FrameDataset", "open_frames"]

_Paths = dict[tuple[str, ...], tfds.features.FeatureConnector]


@dataclasses.dataclass(frozen=True)
class FrameDataset:
    """A data set of TFDS whose videos are frames.

    Attributes:
        name: Such as ``ucf101``.
        source: Name, config and version, such as ``ucf101/ucf101_1/2.0.0``.
        class_names: In label order; none where videos have no class.
        video: Where a video is in an example: the keys that lead to it.
        label: Likewise for its class, or None.
        ffmpeg_arguments: With which TFDS cut videos into frames, where it says so.
        builder: TFDS's own.
    """

    name: str
    source: str
    class_names: tuple[str, ...]
    video: tuple[str, ...]
    label: tuple[str, ...] | None
    ffmpeg_arguments: tuple[str, ...]
    builder: tfds.core.DatasetBuilder

    @property
    def splits(self) -> dict[str, int]:
        """Split name to number of videos, once the data set is prepared."""
        return {split: info.num_examples for split, info in self.builder.info.splits.items()}

    def prepare(self) -> None:
        """Has TFDS download the data set and prepare it, unless it is there.

        Raises:
            DatasetMissingError: It cannot.
        """
        try:
            if not self.builder.is_prepared():
                self.builder.download_and_prepare()
        except Exception as error:  # whatever stands in the code of one of hundreds of data sets
            raise DatasetMissingError(
                f"TFDS cannot prepare {self.source}: {type(error).__name__}: {error}"
            ) from error

    def videos(self, split: str, start: int = 0) -> Iterator[tuple[np.ndarray, int]]:
        """Yields a split's videos in TFDS's own order, which is always the same.

        Args:
            split: A split's name.
            start: How many videos to pass over.

        Yields:
            Frames, uint8 [T, height, width, 3], RGB, and the class, -1 where none is known.

        Raises:
            UndecodableError: A video has frames that are no 8-bit pictures of 1 or 3 channels.
        """
        if start >= self.splits[split]:
            return  # TFDS takes no empty slices
        # One shard file after another, in order, instead of several in turns.
        order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        examples = self.builder.as_dataset(
            split=f"{split}[{start}:]" if start else split, shuffle_files=False, read_config=order
        )
        for number, example in enumerate(tfds.as_numpy(examples), start):
            frames = _rgb(_at(example, self.video), f"video {number} of {self.source}, {split}")
            yield frames, int(_at(example, self.label)) if self.label else -1


def open_frames(
    name: str,
    tfds_dir: str | os.PathLike | None = None,
    *,
    video: str | None = None,
    label: str | None = None,
) -> FrameDataset:
    """Finds a data set of TFDS, and the video and the class in its examples.

    Nothing is downloaded yet: see :meth:`FrameDataset.prepare`, which may need more than TFDS, such
    as the ffmpeg program for UCF101.

    Args:
        name: As TFDS knows it, such as ``ucf101`` or ``ucf101/ucf101_2:2.0.0``.
        tfds_dir: The folder where TFDS keeps its data sets; None for TFDS's default.
        video: The feature that holds the video, parts joined by ``/``; None where there is one
            alone.
        label: Likewise for the class, or ``""`` for no class.

    Raises:
        MissingExtraError: TensorFlow is not installed.
        DatasetMissingError: TFDS knows no such data set, or which feature is meant is not clear;
            lists them.
    """
    require("tensorflow", "tf", "Reading videos that TFDS stores as frames")
    location = {} if tfds_dir is None else {"data_dir": os.fspath(tfds_dir)}
    try:
        builder = tfds.builder(name, **location)
    except Exception as error:  # whatever stands in the code of one of hundreds of data sets
        raise DatasetMissingError(
            f"TFDS has no data set {name!r}, neither among its own nor in "
            f"{tfds_dir or 'its default folder'}: {type(error).__name__}: {error}"
        ) from error
    return _describe(builder, video, label)


def _describe(
    builder: tfds.core.DatasetBuilder, video: str | None, label: str | None
) -> FrameDataset:
    """Returns what an import needs to know of a data set."""
    found = _features(builder.info.features)
    pictures = {path: feature for path, feature in found.items() if _holds_frames(feature)}
    classes = {
        path: feature
        for path, feature in found.items()
        if isinstance(feature, tfds.features.ClassLabel)
    }
    video_path = _chosen("video", "sequence of pictures", pictures, video, builder.name)
    if video_path is None:
        raise DatasetMissingError(
            f"data set {builder.name!r} of TFDS holds no video: none of its features "
            f"{['/'.join(path) for path in found]} is a sequence of pictures."
        )
    label_path = None
    if label != "":
        label_path = _chosen("label", "class", classes, label, builder.name)
    arguments = getattr(pictures[video_path], "_extra_ffmpeg_args", ())
    return FrameDataset(
        name=builder.name,
        source=builder.info.full_name,
        class_names=tuple(classes[label_path].names) if label_path else (),
        video=video_path,
        label=label_path,
        ffmpeg_arguments=tuple(arguments),
        builder=builder,
    )


def _features(feature: tfds.features.FeatureConnector, path: tuple[str, ...] = ()) -> _Paths:
    """Returns every feature by the keys that lead to it, through dicts and sequences of dicts."""
    inner = feature
    if isinstance(feature, tfds.features.Sequence) and _is_dict(feature.feature):
        inner = feature.feature
    if not _is_dict(inner):
        return {path: feature}
    found: _Paths = {}
    for key, value in inner.items():
        if inner is not feature:  # each member of a sequence of dicts is a sequence by itself
            value = tfds.features.Sequence(value)
        found.update(_features(value, (*path, key)))
    return found


def _is_dict(feature: tfds.features.FeatureConnector) -> bool:
    return isinstance(feature, tfds.features.FeaturesDict)


def _holds_frames(feature: tfds.features.FeatureConnector) -> bool:
    """Whether a feature is a sequence of pictures; ``tfds.features.Video`` is one."""
    return isinstance(feature, tfds.features.Sequence) and isinstance(
        feature.feature, tfds.features.Image
    )


def _chosen(
    what: str, kind: str, found: _Paths, wanted: str | None, name: str
) -> tuple[str, ...] | None:
    """Returns the path that is asked for, or the only one that there is."""
    names = {"/".join(path): path for path in found}
    if wanted is not None:
        if wanted in names:
            return names[wanted]
        raise DatasetMissingError(
            f"data set {name!r} of TFDS has no {kind} {wanted!r}; it has {sorted(names)}."
        )
    if len(names) > 1:
        raise DatasetMissingError(
            f"data set {name!r} of TFDS has more than one {kind}, {sorted(names)}; say which to "
            f"take, such as --{what}_feature={min(names)}."
        )
    return next(iter(names.values()), None)


def _at(example: Mapping, path: tuple[str, ...]) -> np.ndarray:
    for key in path:
        example = example[key]
    return np.asarray(example)


def _rgb(frames: np.ndarray, where: str) -> np.ndarray:
    """Returns uint8 [T, height, width, 3] of frames with one channel or three."""
    if frames.ndim != 4 or frames.shape[-1] not in (1, 3) or frames.dtype != np.uint8:
        raise UndecodableError(
            f"{where} is {frames.dtype}{list(frames.shape)}; it must be uint8 [frames, height, "
            "width, 1 or 3 channels]."
        )
    return np.broadcast_to(frames, (*frames.shape[:-1], 3))
