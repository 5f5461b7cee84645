"""From a video's frames to what a model is fed, and from its logits to one opinion."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from data_pipelines.clip_spec import ClipSpec
from data_pipelines.views import parse_views
from vidtx.errors import CheckpointError, ConfigError
from vidtx.evaluation.views import average_views
from vidtx.inference.load import Pretrained
from vidtx.models import normalize
from vidtx.weights.source import MEAN, STD

__all__ = ["Preprocessing"]

# Of the published models, frames of a clip to the stride at 30 frames a second: the paper's table.
_PUBLISHED_STRIDES = {8: 32, 16: 16, 96: 4}
_PUBLISHED_FRAMES = 256  # about what a clip of each lasts
_PUBLISHED_FPS = 30.0

_AVERAGES = ("softmax", "logits")


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """All that decides what a model is fed of a video, and how its views become one answer.

    Attributes:
      clips: which frames, which crops, which views; as in evaluation.
      mean: of each channel in the order in which the model is fed, of pixels between 0 and 1.
      std: the same.
      channel_order: ``rgb`` or ``bgr``.
      multi_label: whether a video has any number of classes: a sigmoid each, not one softmax.
      average: of views, ``softmax`` (probabilities) or ``logits``.
      notes: what was taken for granted, as the weights do not tell, a sentence each.
    """

    clips: ClipSpec
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str = "rgb"
    multi_label: bool = False
    average: str = "softmax"
    notes: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        pretrained: Pretrained,
        *,
        views: str | tuple[int, int] | None = None,
        stride: int | None = None,
        target_fps: float | None = None,
    ) -> "Preprocessing":
        """What weights ask for, by what is on record with them.

        Weights of runs that recorded no views get the paper's: one clip, three crops. Published
        weights of other libraries say nothing of time; they get the authors' test: frames spread
        over 256 or so at 30 a second, from the first (of Something-Something V2, one of each
        segment, unless ``stride`` or ``target_fps`` is given), three crops, logits averaged.

        Args:
          pretrained: the model and what is known of it.
          views: ``TxS`` such as ``10x3``, or (clips, crops), in place of what is on record.
          stride: frames from one to the next, in place of what is on record.
          target_fps: frames a second that the stride counts in, the same; 0 for each video's own.

        Raises:
          ConfigError: ``views`` is none of the kind, or an option does not fit the weights.
          CheckpointError: what is on record is impossible.
        """
        contract, model = pretrained.contract, pretrained.model
        published = "data.stride" not in contract and "data.sampling" not in contract
        known: dict[str, Any] = {}
        notes: list[str] = []
        if published:
            known, notes = _as_published(contract, model.num_frames, stride, target_fps)
        known |= contract
        if views is None and "eval.spatial_crops" not in known:
            notes.append(
                "Nothing is on record of the views by which these weights were judged; the "
                "paper's, one clip and three crops, are taken. --views=TxS says otherwise."
            )
        given = {"data.stride": stride, "data.target_fps": target_fps}
        segments = known.get("data.sampling") == "segments"
        problems = []
        if segments and (stride is not None or target_fps):
            problems.append(
                "These weights were trained on one frame of each segment of a whole video, at any "
                "rate; stride and fps do not apply."
            )
        known |= {name: value for name, value in given.items() if value is not None}
        temporal, spatial = known.get("eval.temporal_views", 1), known.get("eval.spatial_crops", 3)
        if views is not None:
            text = views if isinstance(views, str) else "x".join(map(str, views))
            try:
                temporal, spatial = parse_views(text)
            except ValueError as error:
                problems.append(f"{error}.")
            if segments and temporal != 1:
                problems.append(
                    f"views {temporal}x{spatial}: these weights take one clip of a whole video, a "
                    f"frame of each segment; say 1x{spatial}"
                    + (", or --stride=N for clips at a rate." if published else ".")
                )
        if problems:
            raise ConfigError("\n".join(problems))
        height, width = model.image_size
        short_side = int(known.get("data.eval_short_side", min(height, width)))
        try:
            if known.get("eval.average", "softmax") not in _AVERAGES:
                raise ValueError(f"eval.average is {known['eval.average']!r}.")
            clips = ClipSpec(
                frames=model.num_frames,
                stride=known.get("data.stride", 32),
                target_fps=known.get("data.target_fps") or None,
                crop=(height, width),
                short_side=(short_side, short_side),
                eval_short_side=short_side,
                short=known.get("data.short_videos", "repeat_last"),
                temporal_views=temporal,
                spatial_crops=spatial,
                sampling=known.get("data.sampling", "stride"),
                temporal_position=known.get("eval.temporal_position", "middle"),
            )
        except (ValueError, TypeError) as error:
            wrong = ConfigError if any(value is not None for value in given.values()) else None
            raise (wrong or CheckpointError)(
                f"How clips are prepared for the weights of {pretrained.source.path}, by what is "
                f"on record with them, is impossible: {error}"
            ) from error
        return cls(
            clips=clips,
            mean=tuple(map(float, known.get("data.mean", [MEAN] * 3))),
            std=tuple(map(float, known.get("data.std", [STD] * 3))),
            channel_order=known.get("data.channel_order", "rgb"),
            multi_label=bool(known.get("data.multi_label", False)),
            average=known.get("eval.average", "softmax"),
            notes=tuple(notes),
        )

    def normalized(self, frames: jax.Array | np.ndarray) -> jax.Array:
        """What the model is applied to: uint8 ``[..., 3]`` RGB to float32 ``[..., 3]``."""
        return normalize(frames, self.mean, self.std, self.channel_order)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """One opinion of each video from its views, as evaluation forms it.

        Args:
          logits: float32 ``[B, V, C]``.

        Returns:
          float32 ``[B, C]``: rows sum to 1, or, with ``multi_label``, each number is of its own
          class.
        """
        scores = average_views(logits, average=self.average, multi_label=self.multi_label)
        return np.asarray(jax.nn.sigmoid(scores) if self.multi_label else jax.nn.softmax(scores))

    def described(self) -> str:
        """The views and rates in one line, for a person."""
        clips = self.clips
        crops = "1 crop" if clips.spatial_crops == 1 else f"{clips.spatial_crops} crops"
        many = "1 clip" if clips.temporal_views == 1 else f"{clips.temporal_views} clips"
        rate = (
            "one of each segment of the video"
            if clips.sampling == "segments"
            else f"stride {clips.stride}"
            + (f" at {clips.target_fps:g} frames/s" if clips.target_fps else "")
        )
        height, width = clips.crop
        return f"{many} × {crops} a video, {clips.frames} frames, {rate}, {height}×{width} pixels"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, all of them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """What `to_dict` has written.

        Raises:
          CheckpointError: it is not that, or impossible.
        """
        try:
            clips = {name: _tuple(value) for name, value in values["clips"].items()}
            rest = {name: _tuple(value) for name, value in values.items() if name != "clips"}
            return cls(clips=ClipSpec(**clips), **rest)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise CheckpointError(
                f"The record of how clips are prepared cannot be understood: {error!r}. Export the "
                "weights again."
            ) from error


def _as_published(
    contract: Mapping[str, Any], frames: int, given: int | None, target_fps: float | None
) -> tuple[dict[str, Any], list[str]]:
    """The authors' test, for weights that say nothing of time, and what was taken for granted."""
    known = {"eval.average": "logits", "eval.temporal_views": 1, "eval.spatial_crops": 3}
    # Which set weights of this order are of is a guess: whoever says a rate knows better.
    if contract.get("data.channel_order") == "bgr" and given is None and target_fps is None:
        return {**known, "data.sampling": "segments"}, [
            "The weights do not tell which frames they take; one of each segment of the whole "
            "video is taken, as the authors did on Something-Something V2. --stride or --fps takes "
            "frames at a rate."
        ]
    stride = _PUBLISHED_STRIDES.get(frames) or max(1, round(_PUBLISHED_FRAMES / frames))
    return {
        **known,
        "data.sampling": "span",
        "data.stride": stride,
        "data.target_fps": _PUBLISHED_FPS,
        "eval.temporal_position": "start",
    }, list(_told(frames, stride, given, target_fps))


def _told(frames: int, stride: int, given: int | None, target_fps: float | None) -> Iterator[str]:
    """What is guessed of time beside what is given."""
    start = "The weights do not tell which frames they take; "
    if given is None and target_fps is None:
        yield (
            f"{start}{frames} frames with stride {stride} at 30 frames a second, from the first, "
            "are taken, as the authors test theirs. --stride and --fps say otherwise."
        )
    elif target_fps is None:
        yield f"{start}stride {given} is counted at 30 frames a second. --fps says otherwise."
    elif given is None:
        yield f"{start}they are taken with stride {stride}. --stride says otherwise."


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
