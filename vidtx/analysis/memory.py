"""What the backward pass keeps of a forward pass, from the traced program: nothing is computed.

It is the program as it is written. A compiler may keep less, as it computes cheap things again and
lets buffers share memory, or more, as it pads short axes and gathers what is split.
"""

import dataclasses
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh

from vidtx.models import TimeSformer
from vidtx.sharding import RULES, batch_parts
from vidtx.training import boxed_params

__all__ = ["Kept", "kept_for_backward"]

# All blocks but the first, which drops no path, keep the same: models of so many blocks tell what
# one more keeps.
_FEW, _ONE_MORE = 2, 3


@dataclasses.dataclass(frozen=True)
class Kept:
    """Bytes that are kept on each device from the forward pass to the backward pass.

    Attributes:
      activations: what depends on the clips.
      weights: copies of weights, in the dtype of the computation. Weights that are used as they
        are take no memory of their own.
    """

    activations: int
    weights: int


def kept_for_backward(model: TimeSformer, mesh: Mesh | AbstractMesh, clips: int) -> Kept:
    """What a training step keeps on each device: the residuals of `jax.vjp`, as traced.

    Respects ``dtype``, ``attention``, ``remat`` and ``scan_layers``. What depends on the clips is
    split like the batch, and like the clip's tokens over ``sequence``, in equal parts as far as it
    goes. Of that, what has an axis of heads or of the MLP's hidden layer is split over ``tensor``
    too.

    Args:
      model: the model, of ``drop_path`` and ``platform`` as it is trained.
      mesh: the devices, which need not be there.
      clips: that all devices take at a time; without accumulation, a batch.

    Raises:
      ValueError: attention cannot be computed as the model asks for.
    """
    if model.depth <= _ONE_MORE:
        return _kept(model, mesh, clips)
    few = _kept(model.clone(depth=_FEW), mesh, clips)
    more = _kept(model.clone(depth=_ONE_MORE), mesh, clips)

    def extended(name: str) -> int:
        block = getattr(more, name) - getattr(few, name)
        return getattr(few, name) + (model.depth - _FEW) * block

    return Kept(activations=extended("activations"), weights=extended("weights"))


def _kept(model: TimeSformer, mesh: Mesh | AbstractMesh, clips: int) -> Kept:
    residuals, of_more_clips = _residuals(model, mesh, (clips, 2 * clips))
    of_clips = _changed(residuals, of_more_clips, unless=True)
    of_tensor = [False] * len(residuals)
    if mesh.shape["tensor"] > 1:
        (wider,) = _residuals(model.clone(mlp_dim=2 * model.mlp_dim), mesh, (clips,))
        (narrower_heads,) = _residuals(model.clone(num_heads=2 * model.num_heads), mesh, (clips,))
        of_tensor = [
            a or b
            for a, b in zip(
                _changed(residuals, wider, unless=False),
                _changed(residuals, narrower_heads, unless=False),
                strict=True,
            )
        ]
    share = _share_of_tokens(model, mesh.shape["sequence"]) / batch_parts(mesh)
    activations, weights = 0.0, 0.0
    for leaf, is_of_clips, is_split in zip(residuals, of_clips, of_tensor, strict=True):
        size = leaf.size * leaf.dtype.itemsize / (mesh.shape["tensor"] if is_split else 1)
        if is_of_clips:
            activations += size * share
        else:
            weights += size  # gathered whole, where fsdp splits them, and so kept
    return Kept(math.ceil(activations), math.ceil(weights))


def _residuals(
    model: TimeSformer, mesh: Mesh | AbstractMesh, sizes: Sequence[int]
) -> list[list[jax.ShapeDtypeStruct]]:
    """What `jax.vjp` keeps over all devices beside what it is given, in a fixed order.

    For so many clips at a time, each of ``sizes``.
    """

    def forward(params: dict, video: jax.Array, key: jax.Array) -> list[jax.Array]:
        def logits(params: dict) -> jax.Array:
            index = jnp.arange(len(video), dtype=jnp.int32)
            return model.apply(
                {"params": params}, video, train=True, clip_index=index, rngs={"dropout": key}
            )

        _, pull_back = jax.vjp(logits, params)
        given = {id(leaf) for leaf in jax.tree.leaves((params, video, key))}
        kept = {id(leaf): leaf for leaf in jax.tree.leaves(pull_back)}
        return [leaf for number, leaf in kept.items() if number not in given]

    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(lambda: nn.unbox(boxed_params(model)))
    clip = (model.num_frames, *model.image_size, 3)
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh), nn.logical_axis_rules(RULES):
        return [
            jax.eval_shape(forward, params, jax.ShapeDtypeStruct((size, *clip), jnp.float32), key)
            for size in sizes
        ]


def _changed(
    one: Sequence[jax.ShapeDtypeStruct], other: Sequence[jax.ShapeDtypeStruct], *, unless: bool
) -> list[bool]:
    """Which residuals have another shape in the other program; ``unless`` where it keeps others."""
    if len(one) != len(other):
        return [unless] * len(one)
    return [a.shape != b.shape for a, b in zip(one, other, strict=True)]


def _share_of_tokens(model: TimeSformer, parts: int) -> float:
    """The largest share of a clip's tokens that one of ``parts`` devices has, in any step."""
    frames, rows, columns = model.token_grid
    return max(-(-length // parts) / length for length in (frames, rows * columns))
