"""One training step: a pure function of state and batch."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from vidtx.config import RunSpec
from vidtx.models import TimeSformer
from vidtx.sharding import batch_sharding, replicated, use_mesh
from vidtx.training.augment import preprocess, step_keys
from vidtx.training.state import TrainState, Window


def make_train_step(
    spec: RunSpec,
    model: TimeSformer,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    abstract: TrainState,
) -> Callable[[TrainState, Mapping[str, jax.Array]], TrainState]:
    """The compiled step; it takes the memory of the state that it is given.

    Args:
      spec: the run.
      model: the model.
      optimizer: the update rule.
      mesh: the devices.
      abstract: from `abstract_state`.

    Returns:
      ``step(state, batch) -> state``, where the batch has ``video`` uint8
      ``[B, T, height, width, 3]``, ``label`` int32 ``[B]`` and ``replaced`` int32 ``[B]``.
    """

    def loss_and_logits(params, clips, labels, key):
        logits = model.apply({"params": params}, clips, train=True, rngs={"dropout": key})
        targets = jax.nn.one_hot(labels, model.num_classes)
        targets = optax.smooth_labels(targets, spec.train.label_smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean(), logits

    def step(state: TrainState, batch: Mapping[str, jax.Array]) -> TrainState:
        flip_key, dropout_key = step_keys(spec.seed, state.step)
        clips = preprocess(batch["video"], spec.data, flip_key)
        (loss, logits), gradients = jax.value_and_grad(loss_and_logits, has_aux=True)(
            state.params, clips, batch["label"], dropout_key
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        return TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            window=_add(state, batch, loss, logits, gradients, updates),
        )

    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    compiled = jax.jit(
        step,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=shardings,
        donate_argnums=0,
    )

    def run(state: TrainState, batch: Mapping[str, jax.Array]) -> TrainState:
        with use_mesh(mesh):
            return compiled(state, dict(batch))

    return run


def _add(
    state: TrainState,
    batch: Mapping[str, jax.Array],
    loss: jax.Array,
    logits: jax.Array,
    gradients: optax.Updates,
    updates: optax.Updates,
) -> Window:
    """The window with one more step in it."""
    window = state.window
    grad_norm = optax.tree.norm(gradients)
    # The update too: it may overflow, and spoil the weights, where loss and gradient did not.
    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm) & jnp.isfinite(optax.tree.norm(updates))
    already_bad = window.first_bad_step >= 0
    return Window(
        steps=window.steps + 1,
        loss=window.loss + loss,
        correct=window.correct + (logits.argmax(axis=-1) == batch["label"]).sum(dtype=jnp.int32),
        clips=window.clips + logits.shape[0],
        replaced=window.replaced + batch["replaced"].sum(dtype=jnp.int32),
        grad_norm=window.grad_norm + grad_norm,
        first_bad_step=jnp.where(
            finite | already_bad, window.first_bad_step, state.step.astype(jnp.int32)
        ),
    )


def reset_window(state: TrainState, mesh: Mesh) -> TrainState:
    """The state with an empty window, as after a line of metrics is written."""
    return state.replace(window=jax.device_put(Window.empty(), replicated(mesh)))
