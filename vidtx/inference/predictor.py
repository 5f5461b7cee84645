"""Weights ready to be asked about videos."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.inference.answers import FailedVideo, Prediction, Timeline, best_of
from vidtx.inference.batches import scored
from vidtx.inference.load import Pretrained, load_pretrained
from vidtx.inference.preprocessing import Preprocessing
from vidtx.inference.reading import ReadVideo, read_ahead, read_clips
from vidtx.inference.timeline import timeline_of

__all__ = ["Predictor", "predict"]

_THREADS = min(4, os.cpu_count() or 1)


class Predictor:
    """A model, its weights, and all that it takes to ask them about a video.

        predictor = Predictor.load("runs/k400/best")
        print(predictor.predict("clip.mov").top[0])

    Args:
      pretrained: the model, weights and what is known of them.
      preprocessing: how clips are prepared.
      batch: clips in each call of the compiled program; results do not depend on it beyond
        rounding.

    Attributes:
      pretrained: as given.
      preprocessing: the same.
      batch: the same.
      class_names: in the order of the head; ``class 0`` and so on where nobody knows them.
      notes: what a person should know of these weights, a sentence each.

    Raises:
      CheckpointError: the head has never been trained, or not on videos.
    """

    def __init__(self, pretrained: Pretrained, preprocessing: Preprocessing, *, batch: int = 8):
        if batch < 1:
            raise ConfigError(f"batch is {batch}; it must be at least 1.")
        _check_trained(pretrained)
        self.pretrained = pretrained
        self.preprocessing = preprocessing
        self.batch = batch
        names = pretrained.contract.get("class_names")
        count = pretrained.model.num_classes
        self.class_names: tuple[str, ...] = tuple(
            names or (f"class {index}" for index in range(count))
        )
        self.notes = preprocessing.notes
        if not names:
            self.notes += (
                "Nothing tells the names of the classes of these weights; --class_names=FILE, one "
                "name a line in the order of the head, does.",
            )
        self._apply = jax.jit(self._forward)

    @classmethod
    def load(
        cls,
        weights: str | os.PathLike,
        *,
        views: str | tuple[int, int] | None = None,
        batch: int = 8,
        stride: int | None = None,
        target_fps: float | None = None,
        **changes: Any,
    ) -> "Predictor":
        """Loads weights of any source.

        Args:
          weights: as of `vidtx.inference.load_pretrained`.
          views: as of `Preprocessing.of`.
          batch: clips in each call of the compiled program.
          stride: as of `Preprocessing.of`.
          target_fps: the same.
          **changes: as of `load_pretrained`, such as ``class_names``.

        Raises:
          ConfigError: there are no such weights, or an argument does not fit.
          CheckpointError: they cannot be used, or their head has never been trained.
          MachineError: the network, the storage or a library is missing.
        """
        pretrained = load_pretrained(weights, **changes)
        preprocessing = Preprocessing.of(
            pretrained, views=views, stride=stride, target_fps=target_fps
        )
        return cls(pretrained, preprocessing, batch=batch)

    def logits(self, clips: np.ndarray) -> np.ndarray:
        """Scores of clips as they are fed.

        Args:
          clips: uint8 ``[N, T, height, width, 3]``, RGB.

        Returns:
          float32 ``[N, C]``.

        Raises:
          CheckpointError: they are not finite.
          MachineError: a batch does not fit the device.
        """
        found = []
        for first in range(0, len(clips), self.batch):
            some = clips[first : first + self.batch]
            padding = [(0, self.batch - len(some))] + [(0, 0)] * (clips.ndim - 1)
            fed = np.pad(some, padding) if padding[0][1] else some
            try:
                scores = np.asarray(self._apply(self.pretrained.variables, fed), np.float32)
            except RuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                raise MachineError(
                    f"{self.batch} clips of {list(clips.shape[1:])} do not fit the memory of "
                    f"{jax.devices()[0]}: ask with a smaller batch (--batch=1)."
                ) from error
            found.append(scores[: len(some)])
        if not found:
            return np.zeros((0, self.pretrained.model.num_classes), np.float32)
        logits = np.concatenate(found)
        if not np.isfinite(logits).all():
            raise CheckpointError(
                f"The weights of {self.pretrained.source.path} give scores that are no finite "
                "numbers: they are damaged, or their training diverged. Name an earlier checkpoint."
            )
        return logits

    def predict(self, video: str | os.PathLike, *, top: int = 5) -> Prediction:
        """The answer about one video.

        Args:
          video: its path.
          top: how many classes are listed in ``Prediction.top``.

        Raises:
          data_pipelines.errors.VideoError: nothing can be made of the file.
          CheckpointError: the model's scores are not finite.
        """
        read = read_clips(video, self.preprocessing.clips)
        return self.answer(read, self.logits(read.clips), top=top)

    def predict_all(
        self,
        videos: Iterable[str | os.PathLike],
        *,
        top: int = 5,
        threads: int = _THREADS,
    ) -> Iterator[Prediction | FailedVideo]:
        """Answers about videos, in their order; clips of neighbours fill batches together.

        Threads read ahead while the device computes; at most ``threads + 1`` videos' clips and one
        batch are held.

        Args:
          videos: their paths.
          top: how many classes are listed.
          threads: that read.

        Raises:
          CheckpointError: the model's scores are not finite.
        """
        read = read_ahead(videos, self.preprocessing.clips, threads=threads)
        things = (
            (item, item.clips if isinstance(item, ReadVideo) else np.zeros((0,), np.uint8))
            for item in read
        )
        with contextlib.closing(read):
            for item, logits in scored(things, self.logits, self.batch):
                if isinstance(item, FailedVideo):
                    yield item
                else:
                    yield self.answer(item, logits, top=top)

    def answer(self, read: ReadVideo, logits: np.ndarray, *, top: int = 5) -> Prediction:
        """What scores of a video's views say.

        Args:
          read: the video.
          logits: float32 ``[V, C]`` of its clips.
          top: how many classes are listed.
        """
        probabilities = self.preprocessing.probabilities(logits[None])[0]
        return Prediction(
            video=read.video,
            top=best_of(probabilities, self.class_names, top),
            probabilities=probabilities,
            multi_label=self.preprocessing.multi_label,
            views=read.views,
            seconds=read.info.seconds,
            fps=read.info.fps,
            num_frames=read.info.num_frames,
            height=read.info.height,
            width=read.info.width,
            complete=read.complete,
            notes=read.notes,
        )

    def timeline(
        self,
        video: str | os.PathLike,
        *,
        hop_seconds: float | None = None,
        window_seconds: float | None = None,
        on_progress: Callable[[float, float], None] | None = None,
    ) -> Timeline:
        """Answers about windows along a video; see `vidtx.inference.timeline.timeline_of`."""
        return timeline_of(
            self,
            video,
            hop_seconds=hop_seconds,
            window_seconds=window_seconds,
            on_progress=on_progress,
        )

    def _forward(self, variables: dict[str, Any], frames: jax.Array) -> jax.Array:
        clips = self.preprocessing.normalized(frames)
        return self.pretrained.model.apply(variables, clips)


def predict(
    videos: str | os.PathLike | Iterable[str | os.PathLike],
    weights: str | os.PathLike | Predictor,
    *,
    top: int = 5,
    **options: Any,
) -> list[Prediction | FailedVideo]:
    """Asks weights about videos.

        for answer in vidtx.predict(["a.mp4", "b.mov"], "runs/k400/best"):
            print(answer.video, answer.top[0].name)

    Args:
      videos: paths of files, or one.
      weights: as of `vidtx.inference.load_pretrained`, or a `Predictor`, which is loaded and
        compiled once however often it is asked.
      top: how many classes are listed in ``Prediction.top``.
      **options: of `Predictor.load`, such as ``views="10x3"``.

    Returns:
      An answer for each video in their order; `FailedVideo` of a file that cannot be used.

    Raises:
      ConfigError, CheckpointError, MachineError: as of `Predictor.load`.
    """
    paths = [videos] if isinstance(videos, str | os.PathLike) else list(videos)
    if isinstance(weights, Predictor):
        if options:
            raise ConfigError(f"{', '.join(options)}: a Predictor has them already.")
        return list(weights.predict_all(paths, top=top))
    return list(Predictor.load(weights, **options).predict_all(paths, top=top))


def _check_trained(pretrained: Pretrained) -> None:
    path = pretrained.source.path
    if pretrained.contract.get("head_is_new") or pretrained.source.architecture.num_classes is None:
        raise CheckpointError(
            f"The head of the model from {path} has never been trained: its answers would be "
            "random. Train it (train.init_from), or name weights with a trained head."
        )
    if pretrained.source.is_of_images:
        raise CheckpointError(
            f"The weights of {path} were trained on pictures alone, and know no classes of videos. "
            "Fine-tune them on videos first (train.init_from)."
        )
