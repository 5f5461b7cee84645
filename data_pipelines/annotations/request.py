"""What a person asks for: where the videos and the annotations are, and the choices to be made."""

from __future__ import annotations

import dataclasses

from etils import epath

__all__ = ["FOLDS", "Request"]

FOLDS = (1, 2, 3)


@dataclasses.dataclass(frozen=True)
class Request:
    """Where the parts of a data set are, and what to make of them.

    Attributes:
        videos: Folder of videos, however deep they lie in it.
        annotations: Annotation files, folders of them, or both.
        fold: Which of the three official splits (ucf101, hmdb51).
        class_list: File with one class name a line, in label order (folder, list, and kinetics,
            where a subset then keeps the numbers of the whole).
        min_videos: Tasks with fewer listed videos are left out (howto100m).
        test_share: Share of the videos that is held out as ``test``, chosen by a hash of each
            video's id, where nothing else says which are (folder, list, howto100m).

    Raises:
        ValueError: Some value is impossible; lists all that are.
    """

    videos: epath.Path
    annotations: tuple[epath.Path, ...] = ()
    fold: int = 1
    class_list: epath.Path | None = None
    min_videos: int = 1
    test_share: float = 0.1

    def __post_init__(self):
        checks = [
            (self.fold in FOLDS, f"fold is {self.fold}; it must be one of {FOLDS}"),
            (self.min_videos >= 1, f"min_videos is {self.min_videos}; it must be at least 1"),
            (
                0 <= self.test_share < 1,
                f"test_share is {self.test_share}; it must be at least 0 and below 1",
            ),
        ]
        problems = [problem for passed, problem in checks if not passed]
        if problems:
            raise ValueError("\n".join(f"{problem}." for problem in problems))
