"""The attention weights of one step of one block, as they are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vidtx.analysis.attention_rows import (
    Maps,
    Query,
    Row,
    query_problems,
    start_row,
    through,
    to_maps,
    token_grid,
)
from vidtx.analysis.attention_weights import capture, plain
from vidtx.models import SCHEMES, TimeSformer

__all__ = ["raw", "raw_problems"]


def raw(
    model: TimeSformer,
    variables: dict,
    clips: jax.Array,
    *,
    block: int = -1,
    step: str | None = None,
    head: int | None = None,
    query: Query = None,
) -> Maps:
    """The attention weights of one step, as they are.

    Args:
      model: of any scheme and dtype.
      variables: ``{"params": …}``.
      clips: float ``[B, T, height, width, 3]``, normalised.
      block: its number from 0, or from -1 backwards.
      step: its name, one of the scheme's; None for the one with the class token.
      head: its number from 0; None for the mean over heads.
      query: (frame, row, column) of the patch that looks; None for the class token. Only what is in
        its group can be other than 0.

    Returns:
      Maps; those of a clip sum to 1.

    Raises:
      ValueError: an argument out of bounds, or a step that treats patches alone, and no ``query``;
        the message lists all that is wrong.
    """
    step = SCHEMES[model.scheme].vit_step.name if step is None else step
    grid = token_grid(model, clips)
    problems = raw_problems(model, grid, block=block, step=step, head=head, query=query)
    if problems:
        raise ValueError("\n".join(problems))
    heads = np.full(model.num_heads, 1 / model.num_heads, np.float32)
    if head is not None:
        heads = np.eye(model.num_heads, dtype=np.float32)[head]
    found = _raw(
        plain(model),
        variables,
        jnp.asarray(clips),
        heads,
        start_row(model, clips, query),
        block=block % model.depth,
        step=step,
    )
    return to_maps(found)


def raw_problems(
    model: TimeSformer,
    grid: tuple[int, int, int],
    *,
    block: int,
    step: str,
    head: int | None,
    query: Query,
) -> list[str]:
    """What is wrong with the arguments of `raw`, a sentence each.

    Args:
      model: the model.
      grid: ``(T, H, W)`` of the clips.
      block: as of `raw`.
      step: likewise; never None.
      head: as of `raw`.
      query: as of `raw`.
    """
    scheme = SCHEMES[model.scheme]
    names = [each.name for each in scheme.steps]
    problems = query_problems(grid, query)
    if not -model.depth <= block < model.depth:
        problems.append(
            f"layer is {block}; the model has {model.depth}, numbered from 0 to {model.depth - 1} "
            "(or -1, -2 from the last)."
        )
    if head is not None and not 0 <= head < model.num_heads:
        problems.append(
            f"head is {head}; each step has {model.num_heads}, numbered from 0 to "
            f"{model.num_heads - 1}."
        )
    if step not in names:
        problems.append(f"step is {step!r}; the scheme {scheme.name} has {', '.join(names)}.")
    elif query is None and step != scheme.vit_step.name:
        problems.append(
            f"The {step} step of the scheme {scheme.name} treats patches alone: no class token "
            "looks at anything there. Say which patch does (query=FRAME,ROW,COLUMN), or choose "
            f"the {scheme.vit_step.name} step."
        )
    return problems


@functools.partial(jax.jit, static_argnames=("model", "block", "step"))
def _raw(
    model: TimeSformer,
    variables: dict,
    clips: jax.Array,
    heads: jax.Array,
    row: Row,
    *,
    block: int,
    step: str,
) -> tuple[Row, jax.Array]:
    logits, weights = capture(model, variables, clips)
    (named,) = (each for each in SCHEMES[model.scheme].steps if each.name == step)
    return through(row, named, jnp.einsum("bganm,a->bgnm", weights[block][step], heads)), logits
