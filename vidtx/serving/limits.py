"""What a request may ask for, and how a refusal is worded."""

import dataclasses
from typing import Any

__all__ = ["Limits", "ServingError"]


class ServingError(Exception):
    """A request that is refused or cannot be answered.

    Args:
      status: of HTTP.
      kind: a word that programs can go by, such as ``too_large``.
      message: for people.
      retry_after: seconds after which it may be worth another try, or None.
    """

    def __init__(self, status: int, kind: str, message: str, *, retry_after: int | None = None):
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message
        self.retry_after = retry_after

    def to_dict(self) -> dict[str, Any]:
        """The body of the answer, ``{"error": {"kind": …, "message": …}}``."""
        return {"error": {"kind": self.kind, "message": self.message}}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of what one server takes on.

    Attributes:
      max_mb: megabytes (of 10⁶ bytes) of one upload.
      max_seconds: of one video.
      timeout: seconds that one video may compute, from the moment its turn comes.
      queue: videos that wait while another one computes.
      idle: seconds in which an upload must bring something.
      upload: seconds that a whole upload may take.
      kept: pictures of so many answers are kept,
      kept_seconds: for so long.

    Raises:
      ValueError: one is below what makes sense; lists all that are.
    """

    max_mb: int = 512
    max_seconds: float = 3600.0
    timeout: float = 300.0
    queue: int = 4
    idle: float = 30.0
    upload: float = 900.0
    kept: int = 32
    kept_seconds: float = 900.0

    def __post_init__(self):
        lowest = {"queue": 0, "max_mb": 1, "kept": 1}
        problems = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in lowest and value < lowest[field.name]:
                problems.append(f"{field.name} is {value}; it must be {lowest[field.name]} or more")
            if field.name not in lowest and not 0 < value < float("inf"):
                problems.append(f"{field.name} is {value}; it must be a number of seconds above 0")
        if problems:
            raise ValueError("\n".join(f"{problem}." for problem in problems))

    @property
    def max_bytes(self) -> int:
        """Bytes of one upload."""
        return self.max_mb * 10**6

    def to_dict(self) -> dict[str, Any]:
        """What a client should know: sizes and times."""
        return {
            "max_bytes": self.max_bytes,
            "max_seconds": self.max_seconds,
            "timeout": self.timeout,
            "queue": self.queue,
        }
