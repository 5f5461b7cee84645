"""Decoded frames as pictures: kept by number, turned upright, bounded, stacked."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from data_pipelines.decoding.packets import check_size
from data_pipelines.errors import TooFewFramesError, UndecodableError

__all__ = ["MAX_BYTES", "Found", "Upright", "rotation_of", "too_few"]

# Pictures returned by one call, in bytes: 690 of 1080p.
MAX_BYTES = 1 << 32


class Upright:
    """Makes pictures of decoded frames, all of one size."""

    def __init__(self):
        self._shape: tuple[int, ...] | None = None
        self._reformatter = VideoReformatter()

    def picture(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns a frame as uint8 [height, width, 3], RGB and upright.

        Raises:
            UndecodableError: It is too large, or its size is not that of those before.
        """
        check_size(frame.height, frame.width)
        picture = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        picture = np.rot90(picture, rotation_of(frame) // 90)
        if self._shape not in (None, picture.shape):
            sizes = [f"{height}x{width}" for height, width, _ in (self._shape, picture.shape)]
            raise UndecodableError(
                f"the picture size changes in the stream, from {' to '.join(sizes)}; convert the "
                "video to one size."
            )
        self._shape = picture.shape
        return picture


class Found:
    """The wanted pictures that are found so far.

    Args:
        wanted: Numbers of frames in the order in which they are wanted, repeats allowed; None for
            all frames, which are kept in order.
    """

    def __init__(self, wanted: Sequence[int] | None = None):
        self._wanted = wanted
        self.wanted = None if wanted is None else frozenset(wanted)
        self._numbers: set[int] = set()
        self._slots = None if wanted is None else {n: slot for slot, n in enumerate(wanted)}
        self._rows: np.ndarray | list[np.ndarray] = []
        self._upright = Upright()

    def __len__(self) -> int:
        return len(self._numbers)

    def complete(self) -> bool:
        """Returns whether all wanted frames are there; never where all frames are wanted."""
        return self.wanted is not None and len(self._numbers) == len(self.wanted)

    def keep(self, number: int, frame: av.VideoFrame) -> None:
        """Keeps a frame as uint8 [height, width, 3], RGB and upright.

        Raises:
            UndecodableError: It is too large, all wanted frames together are, or its size is not
                that of the others.
        """
        picture = self._upright.picture(frame)
        self._check(picture)
        if self._slots is None:
            self._rows.append(np.ascontiguousarray(picture))
        else:
            if not self._numbers:
                self._rows = np.empty((len(self._wanted), *picture.shape), np.uint8)
            self._rows[self._slots[number]] = picture
        self._numbers.add(number)

    def _check(self, picture: np.ndarray) -> None:
        count = len(self._wanted) if self._wanted is not None else 1 + len(self._numbers)
        if count * picture.size > MAX_BYTES:
            raise UndecodableError(
                f"{count} pictures of {picture.shape[0]}x{picture.shape[1]} pixels take "
                f"{count * picture.size} bytes; at most {MAX_BYTES} are decoded at once. Shrink "
                "the video first, or ask for fewer frames."
            )

    def stacked(self) -> np.ndarray:
        """Returns the wanted frames, in the order wanted, as uint8 [T, height, width, 3].

        Raises:
            UndecodableError: There is no frame at all.
            TooFewFramesError: One of them is missing.
        """
        if not self._numbers:
            raise UndecodableError("no frame could be decoded; the file is damaged or empty.")
        if self._slots is None:
            return np.stack(self._rows)
        missing = [number for number in self._wanted if number not in self._numbers]
        if missing:
            raise too_few(missing[0], max(self._numbers) + 1)
        for slot, number in enumerate(self._wanted):
            if slot != self._slots[number]:
                self._rows[slot] = self._rows[self._slots[number]]
        return self._rows


def too_few(index: int, length: int) -> TooFewFramesError:
    """Returns the error for a frame that is not there, of ``length`` that are."""
    return TooFewFramesError(
        f"frame {index} was asked for, and {length} can be decoded; the file is truncated, or its "
        "recorded frame count is wrong."
    )


def rotation_of(frame: av.VideoFrame) -> int:
    """Returns the display rotation in degrees, 0 for angles that are no quarter turns."""
    rotation = int(frame.rotation) % 360
    return rotation if rotation % 90 == 0 else 0
