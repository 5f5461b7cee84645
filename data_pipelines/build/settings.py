"""How a build stores its videos."""

from __future__ import annotations

import dataclasses

__all__ = ["STORAGES", "Settings"]

STORAGES = ("canonical", "jpeg", "as_is")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How videos are stored; a part of the data set's fingerprint.

    Attributes:
        storage: ``canonical``: H.264 MP4 of constant rate, upright, without sound, in closed groups
            of pictures of 12 (`data_pipelines.encode.CANONICAL`). ``jpeg``: the same frames, each a
            JPEG. ``as_is``: the file's own bytes.
        short_side: Pixels of a video's shorter side, to which larger ones are shrunk; None leaves
            sizes alone.
        max_fps: Frames per second above which frames are left out; None leaves rates alone.
        jpeg_quality: 1 to 100.
        record_seconds: Length of the records that a video is cut into; None for one record a video.

    Raises:
        ValueError: Some value is impossible; lists all that are.
    """

    storage: str = "canonical"
    short_side: int | None = 256
    max_fps: float | None = 30.0
    jpeg_quality: int = 90
    record_seconds: float | None = None

    def __post_init__(self):
        sliced = self.storage == "as_is" and self.record_seconds is not None
        checks = [
            (
                self.storage in STORAGES,
                f"storage is {self.storage!r}; it must be one of {STORAGES}",
            ),
            (
                self.short_side is None or self.short_side >= 16,
                f"short_side is {self.short_side}; it must be at least 16 pixels, or None",
            ),
            (
                self.max_fps is None or self.max_fps > 0,
                f"max_fps is {self.max_fps}; it must be above 0, or None",
            ),
            (
                1 <= self.jpeg_quality <= 100,
                f"jpeg_quality is {self.jpeg_quality}; it must be in 1 … 100",
            ),
            (
                self.record_seconds is None or self.record_seconds > 0,
                f"record_seconds is {self.record_seconds}; it must be above 0, or None",
            ),
            (
                not sliced,
                f"record_seconds is {self.record_seconds}, and storage as_is keeps files whole; "
                "choose canonical or jpeg",
            ),
        ]
        problems = [problem for passed, problem in checks if not passed]
        if problems:
            raise ValueError("\n".join(f"{problem}." for problem in problems))
