"""Rows of the matrix over all tokens of a clip, which is never made.

A row vector is pushed through the weights of an attention step group by group.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidtx.kernels import Grouping, Step
from vidtx.models import SCHEMES, TimeSformer

__all__ = [
    "Maps",
    "Query",
    "Row",
    "query_problems",
    "start_row",
    "through",
    "to_maps",
    "token_grid",
]

Query = tuple[int, int, int] | None  # (frame, row, column) of a patch; None for the class token


@dataclasses.dataclass(frozen=True, eq=False)
class Maps:
    """How much each token of a clip is looked at.

    Attributes:
      patches: float32 ``[B, T, H, W]``, frames, patch rows, patch columns.
      class_token: float32 ``[B, S]``, what stays with the class tokens. With the patches it sums to
        1 (to 0 where there is nothing at all, as relevance may find).
      logits: float32 ``[B, C]``, of the forward pass that the maps are of.
    """

    patches: np.ndarray
    class_token: np.ndarray
    logits: np.ndarray

    @property
    def frames(self) -> np.ndarray:
        """Float32 ``[B, T]``, each frame's share of what falls on patches; sums to 1."""
        weights = self.patches.sum(axis=(2, 3))
        total = weights.sum(axis=1, keepdims=True)
        return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


class Row(NamedTuple):
    """One number for each token of a clip.

    Attributes:
      patches: float32 ``[B, T, H, W]``.
      class_tokens: float32 ``[B, S]``.
    """

    patches: jax.Array
    class_tokens: jax.Array

    def plus(self, other: "Row") -> "Row":
        """The sum."""
        return Row(self.patches + other.patches, self.class_tokens + other.class_tokens)


def token_grid(model: TimeSformer, clips: jax.Array) -> tuple[int, int, int]:
    """``(T, H, W)`` of clips ``[B, T, height, width, 3]``."""
    _, frames, height, width, _ = clips.shape
    return frames, height // model.patch_size, width // model.patch_size


def query_problems(grid: tuple[int, int, int], query: Query) -> list[str]:
    """What is wrong with a query, a sentence.

    Args:
      grid: ``(T, H, W)`` of the clips.
      query: (frame, row, column) of a patch, or None.
    """
    if query is None or all(0 <= at < size for at, size in zip(query, grid, strict=True)):
        return []
    frames, rows, columns = grid
    return [
        f"query is {','.join(map(str, query))}; the clip has {frames} frames of {rows} × {columns} "
        "patches (rows × columns), numbered from 0."
    ]


def start_row(model: TimeSformer, clips: jax.Array, query: Query) -> Row:
    """The row of the token that is asked about, before any step.

    Args:
      model: the model.
      clips: ``[B, T, height, width, 3]``.
      query: (frame, row, column) of a patch, or None for the class token.

    Raises:
      ValueError: ``query`` lies outside the clips.
    """
    grid = token_grid(model, clips)
    problems = query_problems(grid, query)
    if problems:
        raise ValueError(problems[0])
    tokens = grid[0] if SCHEMES[model.scheme].class_token_per_frame else 1
    patches = np.zeros((len(clips), *grid), np.float32)
    class_tokens = np.zeros((len(clips), tokens), np.float32)
    if query is None:
        class_tokens[:] = 1 / tokens
    else:
        patches[:, *query] = 1
    return Row(patches, class_tokens)


def through(row: Row, step: Step, matrix: jax.Array, *, summed: bool = False) -> Row:
    """A row vector times the matrix of a step over all tokens.

    Where a clip has one class token, every group holds a copy of it, and its residual is the mean
    of theirs: the class token's row of the matrix is the mean of its copies' rows.

    Args:
      row: the vector.
      step: whose groups.
      matrix: ``[B, G, N, N]``, of each group; the class token first if it takes part.
      summed: whether the rows of the copies are summed instead, as those of products with a
        gradient are, which the mean's has divided already.

    Returns:
      The product. Class tokens of a step that treats patches alone give nothing.
    """
    grouping = Grouping(step, row.patches.shape[1:])
    in_groups = grouping.gather(row.patches[..., None])[..., 0]
    groups, tokens = in_groups.shape[1:]
    with_class = matrix.shape[-1] > tokens
    if with_class:
        copies = row.class_tokens
        if copies.shape[1] == 1:
            copies = jnp.broadcast_to(copies if summed else copies / groups, (len(copies), groups))
        in_groups = jnp.concatenate([copies[..., None], in_groups], axis=-1)
    seen = jnp.einsum("bgn,bgnm->bgm", in_groups, matrix)
    if not with_class:
        return Row(grouping.scatter(seen[..., None])[..., 0], jnp.zeros_like(row.class_tokens))
    class_tokens = seen[..., 0]
    if row.class_tokens.shape[1] == 1:
        class_tokens = class_tokens.sum(axis=1, keepdims=True)
    return Row(grouping.scatter(seen[..., 1:, None])[..., 0], class_tokens)


def to_maps(found: tuple[Row, jax.Array]) -> Maps:
    """A row, and the logits, as arrays of this machine."""
    row, logits = found
    return Maps(*(np.asarray(leaf) for leaf in (*row, logits)))
