"""What a model looks at in one clip of a video."""

import dataclasses
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from data_pipelines.clip_spec import ClipSpec
from data_pipelines.errors import VideoError
from data_pipelines.video_reader import VideoReader
from data_pipelines.video_windows import Windows
from vidtx.analysis.attention import Maps, raw, relevance, rollout
from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.inference.answers import ClassScore, best_of
from vidtx.inference.predictor import Predictor
from vidtx.inference.reading import read_clips
from vidtx.reporting.attention_pictures import LookedAt
from vidtx.run.attention_question import Question

__all__ = ["AttendedClip", "attend"]

_TOP = 5


@dataclasses.dataclass(frozen=True, eq=False)
class AttendedClip:
    """One clip, what the model looks at in it, and what it takes it for.

    Attributes:
      video: the file.
      frames: uint8 ``[T, height, width, 3]``, RGB, as the model was fed.
      maps: float32 ``[T, H, W]``, patch rows and columns: shares that, with ``class_token``, sum
        to 1.
      class_token: float32 ``[S]``, what stays with the class tokens.
      frame_weights: float32 ``[T]``, each frame's share of the maps; sum 1.
      frame_numbers: int64 ``[T]``, of the frames in the video, from 0.
      seconds: float64 ``[T]``, of the frames from the video's first.
      class_names: ``C``.
      probabilities: float32 ``[C]``, of this clip alone; of the very forward pass that is shown.
      top: the five likeliest classes, likeliest first.
      method: the question with all defaults filled in, plain values.
      description: the question in words.
      query: (frame, row, column) of the patch that looks; None for the class token.
      complete: False where the file ends or is damaged before its time.
      notes: what a person should know of this clip, a sentence each; `Predictor.notes` has more.
    """

    video: str
    frames: np.ndarray
    maps: np.ndarray
    class_token: np.ndarray
    frame_weights: np.ndarray
    frame_numbers: np.ndarray
    seconds: np.ndarray
    class_names: tuple[str, ...]
    probabilities: np.ndarray
    top: tuple[ClassScore, ...]
    method: dict[str, Any]
    description: str
    query: tuple[int, int, int] | None = None
    complete: bool = True
    notes: tuple[str, ...] = ()

    @property
    def hottest(self) -> tuple[int, int, int]:
        """(frame, row, column) of the patch that is looked at most."""
        return tuple(int(at) for at in np.unravel_index(self.maps.argmax(), self.maps.shape))

    def looked_at(self, *, normalise: str = "clip") -> LookedAt:
        """What pictures are drawn from."""
        return LookedAt(
            frames=self.frames,
            maps=self.maps,
            frame_weights=self.frame_weights,
            numbers=self.frame_numbers,
            seconds=self.seconds,
            query=self.query,
            normalise=normalise,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without pictures and maps."""
        frame, row, column = self.hottest
        return {
            "video": self.video,
            "method": self.method,
            "grid": list(self.maps.shape),
            "top": [score.to_dict() for score in self.top],
            "frames": [
                {"number": int(number), "seconds": float(second), "weight": float(weight)}
                for number, second, weight in zip(
                    self.frame_numbers, self.seconds, self.frame_weights, strict=True
                )
            ],
            "hottest": {
                "frame": frame,
                "row": row,
                "column": column,
                "weight": float(self.maps[frame, row, column]),
            },
            "class_token": float(self.class_token.sum()),
            "complete": self.complete,
            "notes": list(self.notes),
        }


def attend(
    predictor: Predictor,
    video: str | os.PathLike[str],
    question: Question | None = None,
    *,
    at: float | None = None,
) -> AttendedClip:
    """Looks at what a model looks at in one clip of a video.

    Args:
      predictor: the model with all that it asks of clips.
      video: a file of any container and length.
      question: which maps are wanted; None for attention rollout.
      at: seconds from the video's beginning at which the clip begins, or as near as the video's end
        allows; None for the clip in the middle, its centre crop.

    Raises:
      ConfigError: the question does not fit the model, or ``at`` lies beyond the video's end; lists
        all that is wrong.
      CheckpointError: the model's scores are not finite.
      MachineError: the clip does not fit the device.
      VideoError: the video cannot be used.
    """
    question = Question() if question is None else question
    model, spec = predictor.pretrained.model, predictor.preprocessing.clips
    grid = (spec.frames, *(side // model.patch_size for side in spec.crop))
    problems = question.problems(model, predictor.class_names, grid)
    spec = dataclasses.replace(spec, temporal_views=1, spatial_crops=1, temporal_position="middle")
    try:
        if at is None:
            _refuse(problems)
            shown = _middle_clip(video, spec)
        else:
            with VideoReader(video) as reader:
                if not 0 <= at <= reader.info.seconds:
                    problems.append(
                        f"--at is {at:g} seconds; the video has {reader.info.seconds:.2f}. Say a "
                        "time from 0 to its end."
                    )
                _refuse(problems)
                shown = _clip_at(reader, spec, at)
    except VideoError as error:
        raise type(error)(f"{os.fspath(video)}: {error}") from error
    return _attended(predictor, question, os.fspath(video), shown)


class _Shown(NamedTuple):
    """A clip as it is fed, uint8 ``[T, height, width, 3]``; its frames' numbers and seconds."""

    frames: np.ndarray
    numbers: np.ndarray
    seconds: np.ndarray
    complete: bool
    notes: tuple[str, ...]


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _middle_clip(video: str | os.PathLike[str], spec: ClipSpec) -> _Shown:
    read = read_clips(video, spec)
    view = read.views[0]
    times = np.array(view.seconds)
    return _Shown(read.clips[0], np.array(view.frames), times, read.complete, read.notes)


def _clip_at(reader: VideoReader, spec: ClipSpec, at: float) -> _Shown:
    """The clip that begins with the frame that is shown at a time, or as near as there is room."""
    # Two windows: the first frames, and the last start that there is room for.
    planned = reader.along(spec, hop_seconds=max(1.0, 2 * reader.info.seconds))
    wanted = np.searchsorted(reader.seconds(np.arange(reader.info.num_frames)), at, side="right")
    start = min(max(int(wanted) - 1, 0), int(planned.starts[-1]))
    moved = Windows(planned.numbers[:1] + start, planned.starts[:1] + start, planned.ends[:1])
    (trace,) = reader.windows(spec, moved)
    numbers = np.asarray(trace.frame_numbers)
    notes = (f"The file breaks off: {reader.cut_off}.",) if reader.cut_off else ()
    times = np.asarray(reader.seconds(numbers))
    return _Shown(trace.clip, numbers, times, not reader.cut_off, notes)


def _asked(predictor: Predictor, question: Question, frames: np.ndarray) -> Maps:
    model, variables = predictor.pretrained.model, predictor.pretrained.variables
    clips = predictor.preprocessing.normalized(frames[None])
    if question.method == "relevance":
        index = question.class_index(predictor.class_names)
        classes = None if index is None else np.array([index])
        return relevance(model, variables, clips, classes=classes)
    if question.method == "raw":
        return raw(model, variables, clips, **question.raw_arguments(model))
    return rollout(model, variables, clips, query=question.query)


def _attended(predictor: Predictor, question: Question, video: str, shown: _Shown) -> AttendedClip:
    model = predictor.pretrained.model
    try:
        found = _asked(predictor, question, shown.frames)
    except RuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        less = "--method=rollout, which needs much less, or " * (question.method == "relevance")
        raise MachineError(
            f"The attention of one clip of {list(shown.frames.shape)} does not fit the memory of "
            f"{jax.devices()[0]} (--method={question.method}). Take {less}a device with more, such "
            "as the CPU (JAX_PLATFORMS=cpu)."
        ) from error
    if not np.isfinite(found.logits).all():
        raise CheckpointError(
            f"The weights of {predictor.pretrained.source.path} give scores that are no finite "
            "numbers: they are damaged, or their training diverged. Name an earlier checkpoint."
        )
    probabilities = predictor.preprocessing.probabilities(found.logits[None])[0]
    names = tuple(predictor.class_names)
    top = best_of(probabilities, names, _TOP)
    about = question.class_index(names) if question.method == "relevance" else None
    about = top[0].name if about is None else names[about]
    notes = list(shown.notes)
    if not found.patches.any():
        notes.append(f"Nothing in the clip speaks for {about!r}: all maps are 0.")
    return AttendedClip(
        video=video,
        frames=shown.frames,
        maps=found.patches[0],
        class_token=found.class_token[0],
        frame_weights=found.frames[0],
        frame_numbers=shown.numbers.astype(np.int64),
        seconds=shown.seconds,
        class_names=names,
        probabilities=probabilities,
        top=top,
        method=question.to_dict(model, about),
        description=question.describe(model, about),
        query=question.query,
        complete=shown.complete,
        notes=tuple(notes),
    )
