"""Where activations lie on a mesh of devices; without one, nothing here does anything.

The mesh and the rules that map logical axes to its axes are the caller's, who sets both round the
jitted call (`jax.set_mesh`, `nn.logical_axis_rules`). Activations have these names: ``act_batch``,
``act_frames``, ``act_positions``, ``act_heads``, ``act_mlp``, ``act_embed``.

What moves between devices is the residual stream, never a branch of it, whose gradient would be
gathered: between its two layouts, frames split and patch positions split, the compiled program
then has all-to-alls of one device's share, two forward and two backward.
"""

import functools
import math

import flax.linen as nn
import jax

from vidtx.kernels import Step

_FRAMES = ("act_batch", "act_frames", None, None, "act_embed")
_POSITIONS = ("act_batch", None, "act_positions", None, "act_embed")


def mesh_axes(name: str, size: int | None = None) -> tuple[str, ...]:
    """The mesh axes that a logical axis is split over, those of length 1 too.

    Args:
      name: of the logical axis.
      size: where given, its length; if it does not divide evenly, it is not split.
    """
    lengths = jax.sharding.get_abstract_mesh().shape
    if not lengths:
        return ()
    (axes,) = nn.logical_to_mesh_axes((name,))
    axes = (axes,) if isinstance(axes, str) else axes or ()
    axes = tuple(axis for axis in axes if axis in lengths)
    if size is not None and size % math.prod(lengths[axis] for axis in axes):
        return tuple(axis for axis in axes if lengths[axis] == 1)
    return axes


def parts(name: str, size: int | None = None) -> int:
    """Into how many parts a logical axis is split; arguments as of `mesh_axes`."""
    lengths = jax.sharding.get_abstract_mesh().shape
    return math.prod(lengths[axis] for axis in mesh_axes(name, size))


# Where weights are used, a device has them whole but for what its heads or hidden units need.
_USED = {"qkv": "act_heads", "heads": "act_heads", "mlp": "act_mlp"}


def gather_weight(weight: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    """A weight where it is used: gathered along the embedding width, if that is split.

    Said outright, or the compiler may rather move the activations that it meets. The gradient is
    wanted as the weight is stored, so that it can be scattered while it is summed.

    Args:
      weight: in the dtype of the computation.
      axes: its logical axes.
    """
    if parts("embed") == 1:
        return weight
    return _lay(weight, tuple(_USED.get(name) for name in axes), axes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _lay(x: jax.Array, there: tuple[str | None, ...], back: tuple[str | None, ...]) -> jax.Array:
    """Constrains a value, and its gradient otherwise."""
    del back
    return nn.with_logical_constraint(x, there)


def _lay_forward(x, there, back):
    return _lay(x, there, back), None


def _lay_backward(there, back, _, gradient):
    del there
    return (nn.with_logical_constraint(gradient, back),)


_lay.defvjp(_lay_forward, _lay_backward)


def place_frames(x: jax.Array) -> jax.Array:
    """Clips or patches ``[B, T, ·, ·, ·]`` with their frames split."""
    return nn.with_logical_constraint(x, _FRAMES)


def place_class_tokens(class_tokens: jax.Array, *, per_frame: bool) -> jax.Array:
    """Class tokens ``[B, S, D]``: one a frame lies with its frame, one a clip is everywhere."""
    frames = "act_frames" if per_frame else None
    return nn.with_logical_constraint(class_tokens, ("act_batch", frames, "act_embed"))


def place_for(step: Step, patches: jax.Array) -> jax.Array:
    """The residual stream as a step wants it.

    Args:
      step: the attention step that comes next.
      patches: ``[B, T, H, W, D]``.

    Returns:
      The same, or ``[B, T, H·W, 1, D]`` where positions are split: 14 rows cannot be split by
      four, 196 positions can.
    """
    if step.splits != "positions":
        return place_frames(patches)
    if parts("act_positions") > 1:
        batch, frames, rows, columns, dim = patches.shape
        # Constrained before and after, and so is the gradient; and in one shape, so that positions
        # are never split as rows and columns.
        patches = place_frames(patches.reshape(batch, frames, rows * columns, 1, dim))
    return nn.with_logical_constraint(patches, _POSITIONS)


def place_back(patches: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The residual stream after a step, as ``[B, T, H, W, D]`` again.

    Args:
      patches: as `place_for` gave it.
      shape: ``[B, T, H, W, D]``.
    """
    if patches.shape == shape:
        return patches
    patches = nn.with_logical_constraint(patches, _POSITIONS)
    return place_frames(patches).reshape(shape)
