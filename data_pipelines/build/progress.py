"""How far a build has come."""

from __future__ import annotations

import dataclasses

__all__ = ["Progress"]


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a build has come.

    Attributes:
        videos: Listed videos that are done with, dropped ones and those of earlier runs included.
        total: Listed videos in all.
        resumed: Of ``videos``, those in shards that were finished before this run.
        dropped: Of ``videos``, those that are not stored.
        num_bytes: Bytes of the records of ``videos``.
        shards: Finished shards.
        total_shards: Shards in all.
        seconds: Since this run began.
    """

    videos: int
    total: int
    resumed: int
    dropped: int
    num_bytes: int
    shards: int
    total_shards: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Videos a second, in this run."""
        return (self.videos - self.resumed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all videos are done, at the rate so far; None before there is one."""
        rate = self.per_second
        return (self.total - self.videos) / rate if rate > 0 else None
