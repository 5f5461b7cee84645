"""The train state: what a checkpoint holds, and all that a step changes."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from vidtx.models import TimeSformer
from vidtx.sharding import use_mesh, weight_shardings


@flax.struct.dataclass
class Window:
    """Sums over the steps since metrics were last written; kept on the device, saved with the rest.

    Attributes:
      steps: number of steps, int32.
      loss: sum of the mean losses of the steps, float32.
      correct: clips whose highest score is their label's, int32.
      clips: clips seen, int32.
      replaced: unreadable records that other clips stood in for, int32.
      grad_norm: sum of the global gradient norms, float32.
      first_bad_step: the first step whose loss, gradient or update was not finite, or -1, int32.
    """

    steps: jax.Array
    loss: jax.Array
    correct: jax.Array
    clips: jax.Array
    replaced: jax.Array
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
    """

    step: jax.Array
    params: dict
    opt_state: optax.OptState
    window: Window


def _boxed(model: TimeSformer, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    """State 0, its weights boxed with the logical names of their axes."""
    clip = jnp.zeros((1, model.num_frames, *model.image_size, 3))
    params = model.init(jax.random.key(seed), clip)["params"]
    # The optimiser sees boxed parameters, so that its moments carry their axis names too.
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), Window.empty())


def abstract_state(
    model: TimeSformer, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """The state's shapes, dtypes and places on the mesh: a tree of `jax.ShapeDtypeStruct`."""
    boxed = jax.eval_shape(lambda: _boxed(model, optimizer, 0))
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        nn.unbox(boxed),
        weight_shardings(boxed, mesh),
    )


def init_state(
    model: TimeSformer, optimizer: optax.GradientTransformation, seed: int, mesh: Mesh
) -> TrainState:
    """State 0, made where it will live: no device ever holds more than its share.

    Args:
      model: the model.
      optimizer: the update rule.
      seed: of the weights.
      mesh: the devices.
    """
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract_state(model, optimizer, mesh))
    init = jax.jit(lambda: nn.unbox(_boxed(model, optimizer, seed)), out_shardings=shardings)
    with use_mesh(mesh):
        return init()
