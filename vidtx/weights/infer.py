"""A model's sizes, from the shapes of its arrays and from what is said of it."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from vidtx.models import SIZES
from vidtx.weights.layout import Match
from vidtx.weights.source import Architecture
from vidtx.weights.stated import Stated

_FRAMES = 8  # of most published models


class Inference:
    """What a file's model is, with all that speaks against it.

    Attributes:
      problems: sentences; with one of them the weights cannot be taken.
      notes: sentences that a person should know.
      scheme, depth, embed_dim, patch_size, num_frames, num_classes: as in
        `vidtx.weights.Architecture`; 0 for a size that no array tells.
      positions: patches with a position of their own.
      has_head: whether there is anything of a head.
      untold: our names of arrays whose shape tells nothing; a problem each.
      num_heads, image_size: likewise; None where nothing tells.
    """

    def __init__(
        self,
        match: Match,
        shapes: Mapping[str, tuple[int, ...]],
        stated: Stated,
        num_heads: int | None,
        image_size: tuple[int, int] | None,
        likely_heads: int | None = None,
    ):
        """Infers all of it.

        Args:
          match: keys of the file.
          shapes: of every key.
          stated: by a config.
          num_heads: what a person says; None for nothing.
          image_size: likewise, ``(height, width)``.
          likely_heads: that it has where nothing tells, in the place of a guess.
        """
        self._match, self._shapes, self._stated = match, shapes, stated
        self.problems, self.notes = list(stated.problems), []
        self.scheme = None if match.layout.of_images else self._scheme()
        self.depth = match.depth
        self.embed_dim = (
            self._axis("embedding.class_token", -1)
            or self._axis("norm.scale", -1)
            or self._axis("embedding.patch.kernel", -1)
        )
        self.patch_size = self._axis("embedding.patch.kernel", 0)
        self.positions = max(0, self._axis("embedding.position", 1) - 1)
        self.num_frames = self._axis("embedding.time", 1)
        if self.scheme == "space":
            self.num_frames = stated.num_frames or _FRAMES
            if stated.num_frames is None:
                self.notes.append(
                    f"nothing says for how many frames the weights are; {_FRAMES} are assumed. "
                    "None of them depends on it."
                )
        self.has_head = any(name.startswith("head.") for name in match.names)
        self.num_classes = self._axis("head.bias", -1) if self.has_head else 0
        self.untold = frozenset(self._untold())
        self._compare()
        self.num_heads = self._heads(num_heads, likely_heads)
        self.image_size = self._image_size(image_size)

    def tentative(self) -> Architecture:
        """With the right names, and the right shapes of all arrays whose sizes are known."""
        patch = self.patch_size or 1
        return Architecture(
            scheme=self.scheme,
            embed_dim=self.embed_dim or 1,
            depth=self.depth,
            num_heads=1,
            patch_size=patch,
            image_size=(patch, patch * max(1, self.positions)),
            num_frames=self.num_frames or (None if self.scheme is None else 1),
            num_classes=self.num_classes or None,
        )

    def architecture(self) -> Architecture:
        """The model; without problems all of it is known."""
        return Architecture(
            scheme=self.scheme,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            patch_size=self.patch_size,
            image_size=self.image_size,
            num_frames=self.num_frames or None,
            num_classes=self.num_classes or None,
        )

    def _scheme(self) -> str:
        names = self._match.names
        if self._stated.scheme is not None:
            return self._stated.scheme
        if any(".time." in name for name in names):
            return "divided"
        return "joint" if "embedding.time" in names else "space"

    def _axis(self, name: str, axis: int) -> int:
        """The length of an axis of one of our arrays; 0 where the file does not tell."""
        keys = self._match.found.get((name, 0))
        if not keys:
            return 0
        shape = self._shapes[keys[0]]
        if 0 in shape:  # an empty array may say any size
            return 0
        try:
            zeros = np.broadcast_to(np.float32(0), shape)
            return self._match.layout.form(name).read(zeros).shape[axis]
        except (ValueError, IndexError):  # too few axes, or too many
            return 0

    def _untold(self) -> Iterator[str]:
        for name, size in (
            ("embedding.patch.kernel", self.patch_size),
            ("embedding.position", self.positions),
            ("embedding.time", self.num_frames),
            ("head.bias", self.num_classes),
        ):
            keys = self._match.found.get((name, 0))
            if keys and not size:
                yield name
                self.problems.append(f"{keys[0]} is {self._shapes[keys[0]]}; no model has that")

    def _compare(self) -> None:
        """What is stated beside what the arrays are."""
        names = ("embed_dim", "depth", "patch_size", "num_frames", "num_classes")
        for name in names:
            said, found = getattr(self._stated, name), getattr(self, name)
            if said and found and said != found:
                self._contradiction(f"{name} {said}", f"{found}")

    def _contradiction(self, said: str, found: str) -> None:
        line = f"{self._stated.where} says {said}, and the weights are of {found}"
        if self._stated.binding:
            self.problems.append(line)
        else:
            self.notes.append(f"{line}, which counts.")

    def _heads(self, given: int | None, likely: int | None) -> int | None:
        keys = self._match.found.get(("block_0.attention.qkv.kernel", 0), [])
        per_head = self._match.layout.form("block_0.attention.qkv.kernel").per_head
        of_shape = self._shapes[keys[0]][1:2] if keys and per_head else ()
        said = {
            value: where
            for value, where in (
                (self._stated.num_heads, self._stated.where),
                (of_shape[0] if of_shape else None, "the shape of the query"),
                (given, "num_heads"),
            )
            if value is not None
        }
        if len(said) > 1:
            lines = " and ".join(f"{value} by {where}" for value, where in said.items())
            self.problems.append(f"the number of heads is {lines}")
        heads = [*said][-1] if said else next(self._usual_heads(likely), None)
        if heads is not None and (heads < 1 or self.embed_dim % heads):
            self.problems.append(
                f"num_heads is {heads}; it must be a divisor of the width {self.embed_dim}"
            )
        elif heads is None and self.embed_dim:
            self.problems.append(
                f"nothing tells the number of heads of width {self.embed_dim} and depth "
                f"{self.depth}: give num_heads"
            )
        return heads

    def _usual_heads(self, likely: int | None) -> Iterator[int]:
        for size in SIZES.values():
            if (size.embed_dim, size.depth) == (self.embed_dim, self.depth):
                yield size.num_heads
        if likely and self.embed_dim and self.embed_dim % likely == 0:
            self.notes.append(
                f"nothing tells the number of heads; the model's num_heads {likely} is taken."
            )
            yield likely
        if self.embed_dim and self.embed_dim % 64 == 0:
            heads = self.embed_dim // 64
            self.notes.append(
                f"nothing tells the number of heads; {heads} are assumed, 64 wide as in most ViTs. "
                "num_heads=… says otherwise."
            )
            yield heads

    def _image_size(self, given: tuple[int, int] | None) -> tuple[int, int] | None:
        if not self.patch_size or not self.positions:
            return given
        if given is not None:
            if not self._fits(given):
                self.problems.append(f"image_size is {given}: {self._wanted()}")
            return given
        stated = self._stated.image_size
        if stated is not None:
            if self._fits(stated):
                return stated
            self._contradiction(f"image_size {stated}", f"{self.positions} patches")
        side = math.isqrt(self.positions)
        if side**2 != self.positions:
            shared = math.isqrt(self.positions + 1) ** 2 == self.positions + 1
            self.problems.append(
                f"{self.positions} positions besides the class token's are no square of patches, "
                f"and nothing tells its sides: give image_size=(height, width); {self._wanted()}"
                + ". Or has the class token no position of its own, which vidtx's has?"
                * shared
            )
            return None
        return side * self.patch_size, side * self.patch_size

    def _fits(self, sides: tuple[int, int]) -> bool:
        patch = self.patch_size
        rows, columns = (side // patch for side in sides)
        return not any(side % patch for side in sides) and rows * columns == self.positions

    def _wanted(self) -> str:
        return (
            f"both must be multiples of the patch size {self.patch_size}, with {self.positions} "
            "patches in all"
        )
