"""Weights as they were found: by vidtx's names, with what is known of their model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vidtx.models import SIZES, TimeSformer, create_model
from vidtx.weights.report import Report

Array = np.ndarray | jax.Array

# ``(pixels / 255 - MEAN) / STD`` of every channel: the authors', also where they began with image
# models that had been trained with others.
MEAN, STD = 0.45, 0.225


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What decides a model's parameters; their names and shapes follow from it.

    Attributes:
      scheme: the attention scheme; None for an image model, whose one step is ``space``.
      embed_dim: ``D``.
      depth: number of blocks.
      num_heads: ``A``.
      patch_size: side of the square patches, in pixels.
      image_size: ``(height, width)`` in pixels that it was trained on.
      num_frames: of a clip that it was trained on; None for an image model.
      num_classes: ``C`` of its head; None where it has no head.
      position_embedding: ``none``, ``space`` or ``space_time``.
    """

    scheme: str | None
    embed_dim: int
    depth: int
    num_heads: int
    patch_size: int
    image_size: tuple[int, int]
    num_frames: int | None
    num_classes: int | None
    position_embedding: str = "space_time"

    @property
    def is_image_model(self) -> bool:
        """Whether it is of images, and knows nothing of time."""
        return self.scheme is None

    @property
    def name(self) -> str:
        """The name of its size and patch size, as `vidtx.create_model` takes it, or the nearest."""
        shape = (self.embed_dim, self.depth, self.num_heads)
        size = next((name for name, known in SIZES.items() if tuple(known) == shape), "b")
        return f"timesformer_{size}{self.patch_size}"

    def create(self, **changes: Any) -> TimeSformer:
        """The model, drop path off.

        Args:
          **changes: arguments of `vidtx.create_model` in place of its own. An image model is
            ``space`` with one frame, and a model without a head has one class, unless given.

        Raises:
          ValueError: they do not fit together.
        """
        own = {
            "scheme": self.scheme or "space",
            "num_classes": self.num_classes or 1,
            "num_frames": self.num_frames or 1,
            "image_size": self.image_size,
            "drop_path": 0.0,
            "position_embedding": self.position_embedding,
            "embed_dim": self.embed_dim,
            "depth": self.depth,
            "num_heads": self.num_heads,
        }
        return create_model(self.name, **(own | changes))


@dataclasses.dataclass(frozen=True)
class Source:
    """Weights that were read, of whatever layout.

    Attributes:
      path: what they were read from, for a person.
      layout: its kind, such as ``TimeSformer (official)``, for a person.
      params: float32 arrays of exactly ``architecture``, by vidtx's names, such as
        ``block_0.mlp.fc1.kernel``; of an image model those of the scheme ``space``.
      architecture: of the model they are of.
      report: every array of the file accounted for; ``ours`` are the names of ``params``.
      contract: what they ask of whoever uses them, with the keys of `vidtx.run.contract`, as far as
        it is known; of an image model how its pictures were prepared. ``trained_on`` is ``images``
        where no clip has trained them, and ``head_is_new`` true of a head that nothing has.
    """

    path: str
    layout: str
    params: Mapping[str, Array]
    architecture: Architecture
    report: Report
    contract: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_of_images(self) -> bool:
        """Whether pictures alone have trained them, of whatever model they are now."""
        return self.architecture.is_image_model or self.contract.get("trained_on") == "images"

    @property
    def head_is_new(self) -> bool:
        """Whether a conversion began their head at random, and nothing has trained it since."""
        return bool(self.contract.get("head_is_new"))
