"""A folder of videos as a data set, without a build: ``DATA_DIR/NAME/[SPLIT/]CLASS/clip.mp4``.

Videos are read and decoded as they are. That is slower than a built data set (files are whole and
seldom have key frames where they help), nothing has looked for broken ones beforehand, and nothing
but names, sizes and samples tells one state of the folder from another. Good for a first look.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.annotations import AnnotationError, Entry, Request, list_videos
from data_pipelines.decoding.decode import VideoInfo, probe
from data_pipelines.digests import sample_digest
from data_pipelines.errors import (
    DatasetMissingError,
    MissingFileError,
    UnknownSplitError,
    UnreadableError,
    VideoError,
)
from data_pipelines.records import DatasetDescription

__all__ = ["FolderDataset", "FolderSource"]

# Files whose content is sampled for the fingerprint; of the others names and sizes must do.
_SAMPLED = 64


class FolderSource:
    """Random access to the videos of a split of a folder; picklable, thread-safe.

    ``source[i]`` is a record as of `data_pipelines.records.SplitSource`. The first access to a
    video counts its frames; later ones remember them.

    Attributes:
        name: The data set's name.
        split: The split or slice, such as ``train`` or ``train[:10%]``.
        class_names: In label order.
        single_label: True: a folder tells the one class of its videos.
        multi_label: False.
    """

    single_label = True
    multi_label = False

    def __init__(
        self, name: str, split: str, class_names: tuple[str, ...], entries: Sequence[Entry]
    ):
        self.name = name
        self.split = split
        self.class_names = class_names
        self._entries = tuple(entries)
        # Twenty bytes a video, as a split may hold hundreds of thousands. 0 frames: not seen yet.
        self._num_frames = np.zeros(len(entries), np.int32)
        self._sizes = np.zeros((len(entries), 2), np.int32)
        self._fps = np.zeros(len(entries), np.float64)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> dict:
        """Reads one video.

        Raises:
            IndexError: There is no such video.
            VideoError: Its file is gone, cannot be read, or is no video.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {self!r} is outside 0 … {len(self) - 1}.")
        entry = self._entries[index]
        try:
            data = epath.Path(entry.path).read_bytes()
        except FileNotFoundError as error:
            raise MissingFileError(
                f"{entry.path} is gone since the folder was listed; start the run again."
            ) from error
        except OSError as error:
            raise UnreadableError(
                f"{entry.path} cannot be read ({error}); mend its permissions or its storage."
            ) from error
        if not self._num_frames[index]:
            try:
                self._remember(index, probe(data))
            except VideoError as error:
                raise type(error)(f"{entry.path}: {error}") from error
        return {
            "video": data,
            "video_id": entry.video_id,
            "label": entry.label,
            "num_frames": int(self._num_frames[index]),
            "height": int(self._sizes[index, 0]),
            "width": int(self._sizes[index, 1]),
            "fps": float(self._fps[index]),
        }

    def label(self, index: int) -> int:
        """Class of one video, which its folder tells; nothing is read."""
        return self._entries[index].label

    def _remember(self, index: int, info: VideoInfo) -> None:
        self._sizes[index] = info.height, info.width
        self._fps[index] = info.fps
        self._num_frames[index] = info.num_frames  # last: other threads go by it

    def __repr__(self) -> str:
        return f"{self.name}/{self.split}"


class FolderDataset:
    """The splits of a folder of videos.

    Within a split videos are in the order of a hash of their names, so that a slice such as
    ``train[:10%]`` has videos of all classes. Where the folder has no splits, a tenth of the
    videos, chosen by a hash too, is the split ``test``.

    Args:
        name: Of the folder in ``data_dir``.
        data_dir: The folder that holds it.

    Raises:
        DatasetMissingError: There is no such folder, or no videos in folders of classes; says what
            is expected.
    """

    def __init__(self, name: str, data_dir: str | os.PathLike):
        self.name = name
        self._data_dir = os.fspath(data_dir)
        self._root = epath.Path(data_dir) / name
        try:
            listing = list_videos("folder", Request(videos=self._root))
        except AnnotationError as error:
            raise DatasetMissingError(
                f"data.source=folder reads {os.fspath(self._root)} (data.data_dir and data.name): "
                f"{error}"
            ) from error
        self._class_names = tuple(listing.class_names)
        self._splits = {
            split: sorted(entries, key=lambda entry: _mixing(entry.video_id))
            for split, entries in listing.splits.items()
        }

    @property
    def build_command(self) -> str:
        """The command that makes a data set of it that is read faster, ``NAME_built`` beside it."""
        folder, out = shlex.quote(os.fspath(self._root)), shlex.quote(self._data_dir)
        return f"vidtx data build folder --videos={folder} --out={out} --name={self.built_name}"

    @property
    def built_name(self) -> str:
        """What that command calls it: a name that TFDS takes."""
        plain = re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")
        return f"{plain if plain[:1].isalpha() else f'videos_{plain}'}_built"

    def open_split(self, split: str) -> FolderSource:
        """Opens a split, or slices of splits such as ``train[:10%]`` or ``train+test``.

        Raises:
            UnknownSplitError: There is no such split, or the slice is empty; lists the splits.
        """
        infos = {
            name: tfds.core.SplitInfo(name=name, shard_lengths=[len(entries)], num_bytes=0)
            for name, entries in self._splits.items()
        }
        try:
            parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
        except (ValueError, NotImplementedError) as error:
            raise self._unknown(split, f" ({error})") from error
        entries = [
            entry for part in parts for entry in self._splits[part.splitname][part.from_ : part.to]
        ]
        if not entries:
            raise self._unknown(split)
        return FolderSource(self.name, split, self._class_names, entries)

    def _unknown(self, split: str, cause: str = "") -> UnknownSplitError:
        return UnknownSplitError(
            f"{split=} of the folder {os.fspath(self._root)} cannot be read{cause}; it has splits "
            f"{sorted(self._splits)}, of which slices such as 'train[:10%]' may be taken, if they "
            "hold a video. Set data.train_split and data.eval_split."
        )

    def describe(self) -> DatasetDescription:
        """Describes the folder, looking at the size of each file and into some of them.

        The fingerprint is of the names, classes and sizes of all videos, and of samples of the
        content (up to 512 KiB) of up to 64 of them, evenly spaced. Other content of the same size
        elsewhere goes unnoticed; a build notices it.

        Raises:
            DatasetMissingError: A file cannot be looked at.
        """
        videos = [(name, entry) for name in sorted(self._splits) for entry in self._splits[name]]
        chosen = {len(videos) * number // _SAMPLED for number in range(_SAMPLED)}
        try:
            content = [
                (name, entry.video_id, entry.label, epath.Path(entry.path).stat().length)
                for name, entry in videos
            ]
            samples = [
                sample_digest(epath.Path(videos[number][1].path)) for number in sorted(chosen)
            ]
        except OSError as error:
            raise DatasetMissingError(
                f"a video of {os.fspath(self._root)} cannot be read ({error}); mend its "
                "permissions, or remove it."
            ) from error
        facts = json.dumps(["folder", self._class_names, content, samples])
        return DatasetDescription(
            name=self.name,
            version="as files",
            class_names=self._class_names,
            splits={name: len(entries) for name, entries in sorted(self._splits.items())},
            num_bytes=sum(size for *_, size in content),
            fingerprint=hashlib.sha256(facts.encode()).hexdigest(),
            single_label=True,
            multi_label=False,
        )


def _mixing(video_id: str) -> tuple[str, str]:
    """Returns what orders videos in no regard of their classes."""
    return hashlib.sha256(video_id.encode()).hexdigest(), video_id
