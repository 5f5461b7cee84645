"""Which tokens look at each other: the groups of every attention step.

A clip's patch tokens are kept as ``x: [B, T, H, W, D]`` (clips, frames, patch rows, patch columns,
embedding width). An attention step cuts the ``T·H·W`` tokens of a clip into ``G`` groups of ``N``
tokens; attention happens inside a group. Every grouping is a rearrangement of axes, written once
in :data:`STEPS` and inverted mechanically.

Where a step halves an axis of odd length, the axis is padded at its end by one: the first half (or
the even class) then has ``ceil(n/2)`` real tokens and the second ``floor(n/2)``, and
:attr:`Grouping.valid` says which are real. An axis of length one is not halved at all, so that no
group is ever empty.
"""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange


@dataclasses.dataclass(frozen=True)
class Step:
    """One attention step: a row of the table.

    Attributes:
      name: the step's name, which its parameters carry too.
      pattern: einops pattern from the token grid to groups. ``t h w`` are frames, patch rows and
        columns inside a group or its index; ``s y x`` the parts into which the temporal, vertical
        and horizontal axes are halved.
      splits: what of a clip devices can share without looking at each other's tokens: whole groups,
        by ``positions`` or by ``frames``, or, where every group reaches through time, ``tokens``
        that ask, of which frames are the major axis in every group.
    """

    name: str
    pattern: str
    splits: str

    @property
    def halved(self) -> dict[str, str]:
        """Grid axis → part letter, for each axis that this step halves."""
        letters = set(re.findall(r"[a-z]+", self.pattern))
        return {axis: part for axis, part in zip("thw", "syx", strict=True) if part in letters}


STEPS = {
    step.name: step
    for step in (
        # The clip's patches at one position, through time (Eq. 11).
        Step("time", "b t h w d -> b (h w) t d", "positions"),
        # The patches of one frame (Eq. 6).
        Step("space", "b t h w d -> b t (h w) d", "frames"),
        # All patches of the clip (Eq. 5).
        Step("joint", "b t h w d -> b 1 (t h w) d", "tokens"),
        # Quadrants of F × H/2 × W/2 patches (section 3); not to let them overlap is our choice.
        Step("local", "b t (y h) (x w) d -> b (y x) (t h w) d", "tokens"),
        # A stride of two along all three axes (section 3); the eight parity classes are our choice.
        Step("global", "b (t s) (h y) (w x) d -> b (s y x) (t h w) d", "tokens"),
        # One row, and one column, of one frame (section 3, axial).
        Step("width", "b t h w d -> b (t h) w d", "frames"),
        Step("height", "b t h w d -> b (t w) h d", "frames"),
    )
}


@dataclasses.dataclass(frozen=True)
class Grouping:
    """The groups of one step on one token grid.

    Attributes:
      step: the attention step.
      grid: ``(T, H, W)``, the frames, patch rows and patch columns of a clip.
    """

    step: Step
    grid: tuple[int, int, int]

    @functools.cached_property
    def _parts(self) -> dict[str, int]:
        sizes = dict(zip("thw", self.grid, strict=True))
        return {part: min(2, sizes[axis]) for axis, part in self.step.halved.items()}

    @functools.cached_property
    def _inner(self) -> dict[str, int]:
        """Lengths of ``t h w`` in the pattern: after halving, rounded up."""
        return {
            axis: -(-size // self._parts.get(self.step.halved.get(axis, ""), 1))
            for axis, size in zip("thw", self.grid, strict=True)
        }

    @functools.cached_property
    def _padded(self) -> tuple[int, int, int]:
        return tuple(
            self._inner[axis] * self._parts.get(self.step.halved.get(axis, ""), 1) for axis in "thw"
        )

    def gather(self, x: jax.Array) -> jax.Array:
        """Tokens ``[B, T, H, W, D]`` into groups ``[B, G, N, D]``, zeros where padded."""
        padding = [(0, new - old) for new, old in zip(self._padded, self.grid, strict=True)]
        if any(end for _, end in padding):
            x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
        return rearrange(x, self.step.pattern, **self._parts)

    def scatter(self, groups: jax.Array) -> jax.Array:
        """Groups ``[B, G, N, D]`` back into tokens ``[B, T, H, W, D]``; padding is dropped."""
        tokens, grouped = self.step.pattern.split("->")
        x = rearrange(groups, f"{grouped} -> {tokens}", **self._parts, **self._inner)
        return x if self._padded == self.grid else x[:, *(slice(size) for size in self.grid)]

    @functools.cached_property
    def valid(self) -> np.ndarray | None:
        """Which tokens of each group are real: bool ``[G, N]``, or None where all are."""
        if self._padded == self.grid:
            return None
        real = np.zeros(self._padded, bool)
        real[tuple(slice(size) for size in self.grid)] = True
        return rearrange(real[None, ..., None], self.step.pattern, **self._parts)[0, ..., 0]

    @functools.cached_property
    def group_sizes(self) -> tuple[int, ...]:
        """Real tokens of each of the ``G`` groups."""
        ones = np.ones((1, *self.grid, 1), np.int64)
        padding = [(0, new - old) for new, old in zip(self._padded, self.grid, strict=True)]
        ones = np.pad(ones, [(0, 0), *padding, (0, 0)])
        groups = rearrange(ones, self.step.pattern, **self._parts)
        return tuple(int(size) for size in groups.sum(axis=(0, 2, 3)))
