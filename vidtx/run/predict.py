"""Asking a model about many videos: answers as they come, timelines, files, what failed."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from data_pipelines.errors import VideoError
from data_pipelines.video_files import printable
from data_pipelines.video_reader import VideoReader
from vidtx.errors import ConfigError, explain
from vidtx.inference import FailedVideo, Prediction, Predictor, Timeline
from vidtx.reporting.timeline import THUMBNAIL_HEIGHT, plot_timeline
from vidtx.run.answers import CsvAnswers, write_timeline

__all__ = ["Answer", "Timelines", "answers", "fitting_batch"]

_THUMBNAILS = 6


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """All that is found out about one video.

    Attributes:
      prediction: the answer, or why there is none.
      timeline: where it was asked for, and there is one.
      files: what was written, by kind: ``picture`` and ``windows``.
    """

    prediction: Prediction | FailedVideo
    timeline: Timeline | None = None
    files: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether the video could be read to its end."""
        return not isinstance(self.prediction, FailedVideo) and self.prediction.complete

    def to_dict(self) -> dict:
        """Plain values; ``status`` is ``ok``, ``in part`` or ``failed``."""
        failed = isinstance(self.prediction, FailedVideo)
        told = {
            "status": "failed" if failed else "ok" if self.is_whole else "in part",
            **self.prediction.to_dict(),
        }
        if self.timeline is not None:
            told["timeline"] = self.timeline.to_dict()
        return told | ({"files": self.files} if self.files else {})


@dataclasses.dataclass(frozen=True)
class Timelines:
    """That timelines are asked for.

    Attributes:
      hop_seconds: from one window to the next; None for half a window.
      window_seconds: of a window, for weights that take clips of any length.
      out: a folder for pictures and tables; None for none.
      on_progress: told (path, seconds behind us, seconds of the video).
    """

    hop_seconds: float | None = None
    window_seconds: float | None = None
    out: str | None = None
    on_progress: Callable[[str, float, float], None] = lambda *_: None


def answers(
    predictor: Predictor,
    files: Sequence[str],
    *,
    top: int = 5,
    csv: str | None = None,
    timelines: Timelines | None = None,
) -> Iterator[Answer]:
    """Yields an answer for each file, in order; what is written is there by then.

    Args:
      predictor: whom to ask.
      files: videos.
      top: how many classes are listed.
      csv: a table to write; None for none.
      timelines: None for none.

    Raises:
      ConfigError: a file or folder to write is something else.
      CheckpointError: the model's scores are not finite.
      MachineError: the disk is full, or may not be written.
    """
    names = _unique_names(files)
    if timelines is not None and timelines.out is not None:
        _make_folder(timelines.out)
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(CsvAnswers(csv)) if csv is not None else None
        asked = stack.enter_context(contextlib.closing(predictor.predict_all(files, top=top)))
        for path, prediction in zip(files, asked, strict=True):
            answer = Answer(prediction)
            if timelines is not None and not isinstance(prediction, FailedVideo):
                answer = _with_timeline(predictor, answer, path, names[path], timelines)
            if table is not None:
                table.write(answer.prediction)
            yield answer


def fitting_batch(batch: int, files: int, views: int, *, timelines: bool) -> int:
    """The batch, or less where there are fewer clips in all, which would compute padding."""
    return batch if timelines else max(1, min(batch, files * views))


def _with_timeline(
    predictor: Predictor, answer: Answer, path: str, name: str, asked: Timelines
) -> Answer:
    try:
        timeline = predictor.timeline(
            path,
            hop_seconds=asked.hop_seconds,
            window_seconds=asked.window_seconds,
            on_progress=lambda done, total: asked.on_progress(path, done, total),
        )
    except VideoError as error:  # such as of a file that has gone meanwhile
        note = f"There is no timeline: {error}"
        prediction = dataclasses.replace(
            answer.prediction, complete=False, notes=(*answer.prediction.notes, note)
        )
        return Answer(prediction)
    # Views may have been spared what a window meets.
    prediction = answer.prediction
    if not timeline.complete and prediction.complete:
        prediction = dataclasses.replace(prediction, complete=False)
    if asked.out is None:
        return Answer(prediction, timeline)
    folder = pathlib.Path(asked.out)
    picture, windows = folder / f"{name}.timeline.png", folder / f"{name}.timeline.csv"
    write_timeline(timeline, windows)
    plot_timeline(
        picture,
        starts=timeline.starts,
        ends=timeline.ends,
        probabilities=timeline.probabilities,
        class_names=timeline.class_names,
        seconds=timeline.seconds,
        title=printable(os.path.basename(path)),
        thumbnails=_thumbnails(path),
        broken_off=not timeline.complete,
    )
    return Answer(prediction, timeline, {"picture": str(picture), "windows": str(windows)})


def _thumbnails(path: str) -> list[tuple[float, np.ndarray]]:
    """Small pictures along a video, with their seconds; those that can be decoded."""
    found = []
    with contextlib.suppress(VideoError), VideoReader(path) as video:
        count = min(_THUMBNAILS, video.info.num_frames)
        middles = (np.arange(count) + 0.5) / count * video.info.num_frames
        for number, picture in video.thumbnails(
            middles.astype(np.int64).tolist(), THUMBNAIL_HEIGHT
        ):
            found.append((float(video.seconds(number)), picture))
    return found


def _unique_names(files: Sequence[str]) -> dict[str, str]:
    """Names of what is written of each file: its own, numbered where two have the same."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for path in files:
        plain = name = pathlib.PurePath(path).stem or "video"
        number = 1
        while name.casefold() in used:
            number += 1
            name = f"{plain}-{number}"
        used.add(name.casefold())
        names[path] = name
    return names


def _make_folder(out: str) -> None:
    try:
        pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(explain(error) or ConfigError())(
            f"--out={out} cannot be written: {error.strerror}. Name a folder."
        ) from error
