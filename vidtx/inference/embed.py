"""Features of videos, for retrieval and probing: what a model's head classifies."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidtx.checkpoints.digests import named_leaves
from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.inference.answers import FailedVideo
from vidtx.inference.batches import scored
from vidtx.inference.features import (
    VideoFeatures,
    collected,
    view_pieces,
    window_pieces,
)
from vidtx.inference.load import Pretrained, load_pretrained
from vidtx.inference.preprocessing import Preprocessing
from vidtx.inference.reading import ahead

__all__ = ["PER", "Embedder", "VideoFeatures", "embed"]

PER = ("clip", "video")
_THREADS = min(4, os.cpu_count() or 1)


class Embedder:
    """A model that tells features; the class token after the last norm, of each clip.

        embedder = Embedder.load("runs/k400/best")
        for found in embedder.embed_all(["a.mp4", "b.mov"]):
            print(found.video, found.features.shape)

    Args:
      pretrained: the model, weights and what is known of them. Their head does not matter.
      preprocessing: how clips are prepared.
      batch: clips in each call of the compiled program.

    Attributes:
      pretrained, preprocessing, batch: as given.
    """

    def __init__(self, pretrained: Pretrained, preprocessing: Preprocessing, *, batch: int = 8):
        if batch < 1:
            raise ConfigError(f"batch is {batch}; it must be at least 1.")
        self.pretrained = pretrained
        self.preprocessing = preprocessing
        self.batch = batch
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
    ) -> "Embedder":
        """Loads weights of any source; arguments and errors as of `Predictor.load`."""
        pretrained = load_pretrained(weights, **changes)
        how = Preprocessing.of(pretrained, views=views, stride=stride, target_fps=target_fps)
        return cls(pretrained, how, batch=batch)

    @property
    def dim(self) -> int:
        """``D``, the width of the features."""
        return self.pretrained.model.embed_dim

    def described(self) -> Mapping[str, Any]:
        """All that decides the features of a clip, as plain values.

        ``weights`` is SHA-256 over the names, shapes and values of all parameters.
        """
        digest = hashlib.sha256()
        for name, leaf in sorted(named_leaves(self.pretrained.variables["params"]).items()):
            digest.update(f"{name} {leaf.shape} {leaf.dtype}\n".encode())
            digest.update(np.ascontiguousarray(leaf))
        model = self.pretrained.model
        return {
            "weights": digest.hexdigest(),
            "scheme": model.scheme,
            "dtype": jnp.dtype(model.dtype).name,
            "dim": self.dim,
            "preprocessing": self.preprocessing.to_dict(),
        }

    def features(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips as they are fed.

        Args:
          clips: uint8 ``[N, T, height, width, 3]``, RGB.

        Returns:
          float32 ``[N, D]``.

        Raises:
          CheckpointError: they are not finite.
          MachineError: a batch does not fit the device.
        """
        found = [np.zeros((0, self.dim), np.float32)]
        for first in range(0, len(clips), self.batch):
            some = clips[first : first + self.batch]
            fed = np.zeros((self.batch, *some.shape[1:]), np.uint8)
            fed[: len(some)] = some
            try:
                rows = np.asarray(self._apply(self.pretrained.variables, fed))
            except RuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                raise MachineError(
                    f"{self.batch} clips of {list(clips.shape[1:])} do not fit the memory of "
                    f"{jax.devices()[0]}: embed with a smaller batch (--batch=1)."
                ) from error
            found.append(rows[: len(some)])
        features = np.concatenate(found)
        if not np.isfinite(features).all():
            raise CheckpointError(
                f"The weights of {self.pretrained.source.path} give features that are no finite "
                "numbers: they are damaged, or their training diverged. Name an earlier checkpoint."
            )
        return features

    def embed_all(
        self,
        videos: Iterable[str | os.PathLike],
        *,
        per: str = "clip",
        hop_seconds: float | None = None,
        threads: int = _THREADS,
    ) -> Iterator[VideoFeatures | FailedVideo]:
        """Features of videos, in their order; clips of neighbours fill batches together.

        Memory holds a few videos' clips, or, with ``hop_seconds``, a few batches of one video of
        any length.

        Args:
          videos: their paths.
          per: ``clip``, a row for every view; or ``video``, their mean.
          hop_seconds: from one window along the video to the next, in place of views: the centre
            crop of clips that lie so far apart.
          threads: that read.

        Raises:
          ConfigError: ``per`` is neither, or ``hop_seconds`` is not above 0.
          CheckpointError: the features are not finite.
          MachineError: a batch does not fit the device.
        """
        if per not in PER:
            raise ConfigError(f"per is {per!r}; it must be {' or '.join(PER)}.")
        if hop_seconds is not None and not 0 < hop_seconds < float("inf"):
            raise ConfigError(f"hop_seconds is {hop_seconds}; it must be above 0.")
        spec = self.preprocessing.clips
        if hop_seconds is None:
            things = view_pieces(videos, spec, threads)
        else:
            things = ahead(window_pieces(videos, spec, hop_seconds), 2 * self.batch)
        with contextlib.closing(things):
            for found in collected(scored(things, self.features, self.batch)):
                whole = isinstance(found, VideoFeatures) and per == "video"
                yield found.averaged() if whole else found

    def _forward(self, variables: dict[str, Any], frames: jax.Array) -> jax.Array:
        clips = self.preprocessing.normalized(frames)
        _, features = self.pretrained.model.apply(variables, clips, return_features=True)
        return features


def embed(
    videos: str | os.PathLike | Iterable[str | os.PathLike],
    weights: str | os.PathLike | Embedder,
    *,
    per: str = "clip",
    hop_seconds: float | None = None,
    **options: Any,
) -> Iterator[VideoFeatures | FailedVideo]:
    """Features of videos by weights of any source.

        for found in vidtx.inference.embed(["a.mp4", "b.mov"], "runs/k400/best"):
            index.add(found.features)

    Args:
      videos: paths of files, or one.
      weights: as of `vidtx.inference.load_pretrained`, or an `Embedder`.
      per: as of `Embedder.embed_all`.
      hop_seconds: the same.
      **options: of `Embedder.load`, such as ``views="10x3"``.

    Raises:
      ConfigError, CheckpointError, MachineError: as of `Embedder.load` and `Embedder.embed_all`.
    """
    paths = [videos] if isinstance(videos, str | os.PathLike) else videos
    if isinstance(weights, Embedder):
        if options:
            raise ConfigError(f"{', '.join(options)}: an Embedder has them already.")
        embedder = weights
    else:
        embedder = Embedder.load(weights, **options)
    return embedder.embed_all(paths, per=per, hop_seconds=hop_seconds)
