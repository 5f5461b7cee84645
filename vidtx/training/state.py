"""The train state: what a checkpoint holds, and all that a step changes."""

import functools
from collections.abc import Callable

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from vidtx.models import TimeSformer
from vidtx.sharding import replicated, use_mesh, weight_shardings


@flax.struct.dataclass
class Window:
    """Sums over the steps since metrics were last written; kept on the device, saved with the rest.

    Attributes:
      steps: number of steps, int32.
      loss: sum of the mean losses of the steps, float32.
      correct: clips whose highest score is their label's, int32.
      clips: clips seen, int32.
      replaced: unreadable records that other clips stood in for, int32.
      clip_ids: digest of which record was seen in which place, uint32. Two runs that saw other
        clips, or the same in another order, have other digests (all but 1 in 2³² of them).
      grad_norm: sum of the global gradient norms, float32.
      first_bad_step: the first step whose loss, gradient or update was not finite, or -1, int32.
    """

    steps: jax.Array
    loss: jax.Array
    correct: jax.Array
    clips: jax.Array
    replaced: jax.Array
    clip_ids: jax.Array
    grad_norm: jax.Array
    first_bad_step: jax.Array

    @classmethod
    def empty(cls) -> "Window":
        """A window over no step, in host memory: each leaf gets a buffer of its own when placed."""
        return cls(
            steps=np.zeros((), np.int32),
            loss=np.zeros((), np.float32),
            correct=np.zeros((), np.int32),
            clips=np.zeros((), np.int32),
            replaced=np.zeros((), np.int32),
            clip_ids=np.zeros((), np.uint32),
            grad_norm=np.zeros((), np.float32),
            first_bad_step=np.full((), -1, np.int32),
        )


@flax.struct.dataclass
class TrainState:
    """State *n* is the state after *n* updates; the next batch is batch *n*.

    Attributes:
      step: *n*, int32.
      params: the model's parameters, float32.
      opt_state: the optimiser's state.
      window: sums for the next line of metrics.
      ema: exponential moving average of the parameters, float32, or None where none is kept.
    """

    step: jax.Array
    params: dict
    opt_state: optax.OptState
    window: Window
    ema: dict | None = None

    @property
    def judged(self) -> dict:
        """The parameters that evaluation and inference use: the averaged ones where there are."""
        return self.params if self.ema is None else self.ema


def boxed_params(model: TimeSformer, seed: int = 0) -> dict:
    """Fresh parameters, boxed with the logical names of their axes."""
    clip = jnp.zeros((1, model.num_frames, *model.image_size, 3))
    return model.init(jax.random.key(seed), clip)["params"]


def _boxed(
    model: TimeSformer, optimizer: optax.GradientTransformation, seed: int, averaged: bool
) -> TrainState:
    """State 0, its weights boxed."""
    params = boxed_params(model, seed)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        # The optimiser sees boxed parameters, so that its moments carry their axis names too.
        opt_state=optimizer.init(params),
        window=Window.empty(),
        ema=params if averaged else None,
    )


def abstract_state(
    model: TimeSformer,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    averaged: bool = False,
) -> TrainState:
    """The state's shapes, dtypes and places on the mesh: a tree of `jax.ShapeDtypeStruct`.

    Args:
      model: the model.
      optimizer: the update rule.
      mesh: the devices.
      averaged: whether an average of the weights is kept.
    """
    boxed = jax.eval_shape(lambda: _boxed(model, optimizer, 0, averaged))
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        nn.unbox(boxed),
        weight_shardings(boxed, mesh),
    )


def init_state(
    model: TimeSformer,
    optimizer: optax.GradientTransformation,
    seed: int,
    mesh: Mesh,
    *,
    averaged: bool = False,
) -> TrainState:
    """State 0, made where it will live: no device ever holds more than its share.

    Args:
      model: the model.
      optimizer: the update rule.
      seed: of the weights.
      mesh: the devices.
      averaged: whether an average of the weights is kept.
    """
    abstract = abstract_state(model, optimizer, mesh, averaged=averaged)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    init = jax.jit(
        lambda: nn.unbox(_boxed(model, optimizer, seed, averaged)), out_shardings=shardings
    )
    with use_mesh(mesh):
        return init()


def start_from(state: TrainState, params: dict) -> TrainState:
    """State 0 with other weights; its memory is taken.

    Args:
      state: state 0.
      params: the weights, placed as those of ``state``.
    """
    # A copy: the step takes the memory of both trees, so they may not share buffers.
    ema = None if state.ema is None else jax.tree.map(jnp.copy, params)
    return state.replace(params=params, ema=ema)


@functools.cache
def _empty_window(mesh: Mesh) -> Callable[[], Window]:
    return jax.jit(Window.empty, out_shardings=replicated(mesh))


def reset_window(state: TrainState, mesh: Mesh) -> TrainState:
    """The state with an empty window, as after a line of metrics is written."""
    return state.replace(window=_empty_window(mesh)())
