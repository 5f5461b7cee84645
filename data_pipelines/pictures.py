"""The pictures of one record, however they are stored: as a video file, or as one JPEG a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from data_pipelines.decoding.decode import decode_frames
from data_pipelines.errors import TooFewFramesError, UndecodableError

__all__ = ["pictures"]

_END_OF_JPEG = b"\xff\xd9"


def pictures(record: Mapping, indices: Sequence[int], strict: bool = False) -> np.ndarray:
    """Decodes chosen frames of a record, and little else.

    Args:
        record: With ``video``, the bytes of a media file, or with ``frames``, a sequence of the
            bytes of JPEGs, one a frame.
        indices: Frame numbers in display order, each at least 0, in any order, repeats allowed.
        strict: Raise at damage in what is decoded, instead of returning concealed pictures.

    Returns:
        uint8 [len(indices), height, width, 3], RGB, upright.

    Raises:
        ValueError: ``indices`` is empty or has a negative number.
        UndecodableError: A wanted frame cannot be decoded, the picture size changes, or ``strict``
            and there is damage.
        NoVideoStreamError: There are no moving pictures.
        TooFewFramesError: A wanted frame lies beyond the end.
    """
    if "video" in record:
        return decode_frames(record["video"], indices, strict=strict)
    indices = [int(index) for index in indices]
    if not indices or min(indices) < 0:
        raise ValueError(f"{indices=} must hold at least one frame number, none below 0.")
    stored = record["frames"]
    if max(indices) >= len(stored):
        raise TooFewFramesError(
            f"frame {max(indices)} was asked for, but the record holds {len(stored)} JPEGs, so its "
            "recorded frame count is wrong; build the data set again."
        )
    decoded = {number: _decode(stored[number], number, strict) for number in set(indices)}
    sizes = {number: picture.shape[:2] for number, picture in decoded.items()}
    if len(set(sizes.values())) > 1:
        raise UndecodableError(
            f"its JPEGs differ in size, (height, width) by frame number: {sizes}; store frames of "
            "one video at one size."
        )
    return np.stack([decoded[number] for number in indices])


def _decode(data: bytes, number: int, strict: bool) -> np.ndarray:
    """Returns one JPEG's picture, uint8 [height, width, 3], RGB."""
    data = bytes(data)
    # Some versions of OpenCV fill the rest of a picture that breaks off with grey.
    if strict and not data.rstrip(b"\0").endswith(_END_OF_JPEG):
        raise UndecodableError(
            f"frame {number}, a JPEG of {len(data)} bytes, breaks off before its end; store it "
            "again."
        )
    # An orientation tag would turn single frames; ours are stored upright and have none.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:  # such as more pixels than OpenCV takes
        raise UndecodableError(f"frame {number}, a JPEG, is refused: {error}") from error
    if picture is None:
        raise UndecodableError(
            f"frame {number} holds {len(data)} bytes that are no picture; store it again."
        )
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
