"""A model along a whole video: what it says about window after window."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from data_pipelines.clip_trace import ClipTrace
from data_pipelines.errors import VideoError
from data_pipelines.video_reader import VideoReader
from data_pipelines.video_windows import SEGMENT_SECONDS
from vidtx.errors import ConfigError
from vidtx.inference.answers import Timeline
from vidtx.inference.batches import scored
from vidtx.inference.reading import ahead, broken_note

if TYPE_CHECKING:
    from vidtx.inference.predictor import Predictor

__all__ = ["timeline_of"]

_SCORED_TOGETHER = 256


def timeline_of(
    predictor: Predictor,
    video: str | os.PathLike,
    *,
    hop_seconds: float | None = None,
    window_seconds: float | None = None,
    on_progress: Callable[[float, float], None] | None = None,
) -> Timeline:
    """Answers about windows along a video, each as long as one clip, in one pass over it.

    Memory holds a few batches of clips, however long the video is. Of a video that breaks off, the
    windows before that are answered.

    Args:
      predictor: the model, and how it is fed; of its views, the centre crop alone is taken.
      video: its path.
      hop_seconds: from one window to the next; None for half a window.
      window_seconds: of a window, for weights whose clips span whole videos of any length
        (``segments``); None for 4. Other weights have a length of their own.
      on_progress: told (seconds behind us, seconds of the video) after each batch.

    Raises:
      ConfigError: a length is not above 0, or the weights have one of their own.
      data_pipelines.errors.VideoError: nothing can be made of the file.
      CheckpointError: the model's scores are not finite.
    """
    spec, batch = predictor.preprocessing.clips, predictor.batch
    notes, complete = [], True
    if spec.sampling == "segments":
        length = window_seconds or SEGMENT_SECONDS
        notes.append(f"Windows last {length:g} s: these weights take clips of any length.")
    elif window_seconds is not None:
        raise ConfigError(
            f"window_seconds is {window_seconds}, but these weights were trained on clips of one "
            "length, which a window has. Leave it out."
        )
    with VideoReader(video) as reader:
        try:
            planned = reader.along(spec, hop_seconds=hop_seconds, length=window_seconds)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if reader.cut_off:
            notes.append(f"The file breaks off: {reader.cut_off}.")
            complete = False
        info = reader.info
        last = info.num_frames - 1
        frame = 1 / info.fps if info.fps > 0 else 0.0
        length = float(reader.seconds(last)) + frame
        rows: list[np.ndarray] = []
        broken: list[VideoError] = []
        waiting = ahead(reader.windows(spec, planned), 2 * batch)
        with contextlib.closing(waiting):
            clips = _until_broken(waiting, broken)
            for number, (_, logits) in enumerate(scored(clips, predictor.logits, batch)):
                rows.append(logits)
                if on_progress is not None and (number + 1) % batch == 0:
                    on_progress(float(reader.seconds(min(planned.ends[number], last))), length)
        if broken:
            if not rows:
                raise broken[0]
            complete = False
        found = len(rows)
        # Few shapes, as each is compiled for.
        padding = [(0, -found % _SCORED_TOGETHER), (0, 0), (0, 0)]
        scores = np.pad(np.stack(rows), padding)
        behind = planned.ends[:found] > last  # no frame begins there
        ends = reader.seconds(np.minimum(planned.ends[:found], last)) + frame * behind
        notes += [broken_note(error, float(ends[-1])) for error in broken]
        return Timeline(
            video=reader.path,
            class_names=predictor.class_names,
            starts=reader.seconds(planned.starts[:found]),
            ends=ends,
            probabilities=predictor.preprocessing.probabilities(scores)[:found],
            multi_label=predictor.preprocessing.multi_label,
            seconds=length,
            complete=complete,
            notes=tuple(notes),
        )


def _until_broken(
    traces: Iterable[ClipTrace], broken: list[VideoError]
) -> Iterator[tuple[ClipTrace, np.ndarray]]:
    """Yields clips up to the first that cannot be read, and notes why."""
    try:
        for trace in traces:
            yield trace, trace.clip[None]
    except VideoError as error:
        broken.append(error)
