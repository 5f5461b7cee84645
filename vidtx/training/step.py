"""One training step: a pure function of state and batch."""

from collections.abc import Mapping

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vidtx.config import RunSpec
from vidtx.models import TimeSformer
from vidtx.sharding import BATCH_AXES, batch_sharding, use_mesh
from vidtx.training.augment import Draws, augment, draw, step_key
from vidtx.training.groups import settle
from vidtx.training.state import TrainState, Window
from vidtx.training.targets import losses, make_targets


@flax.struct.dataclass
class _Rows:
    """A batch, or a part of one, with all that is drawn for its rows."""

    video: jax.Array
    targets: jax.Array
    draws: Draws


def make_train_step(
    spec: RunSpec,
    model: TimeSformer,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    abstract: TrainState,
) -> "TrainStep":
    """The compiled step; it takes the memory of the state that it is given.

    With ``train.accumulate`` above 1 it takes its batch in so many parts, one after the other, and
    adds their gradients up. Everything that is random is drawn for each row of the whole batch, so
    the update is that of the whole batch, to rounding.

    Args:
      spec: the run.
      model: the model.
      optimizer: the update rule.
      mesh: the devices.
      abstract: from `abstract_state`.

    Returns:
      ``step(state, batch) -> state``, where the batch has ``video`` uint8
      ``[B, T, height, width, 3]``, ``label`` int32 ``[B]`` (or, for several labels a video,
      ``labels`` uint8 ``[B, C]``), ``index`` uint32 ``[B]`` and ``replaced`` int32 ``[B]``.
    """
    multi_label = spec.data.multi_label
    shares = settle(spec.optimizer, abstract.params)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)

    def loss_and_hits(params, rows: _Rows, key):
        clips, targets = augment(rows.video, rows.targets, rows.draws, spec)
        logits = model.apply(
            {"params": params},
            clips,
            train=True,
            clip_index=rows.draws.rows,
            rngs={"dropout": key},
        )
        return losses(logits, targets, multi_label=multi_label).mean(), _hits(logits, targets)

    def gradients_of(params, rows: _Rows, key):
        (loss, hits), gradients = jax.value_and_grad(loss_and_hits, has_aux=True)(params, rows, key)
        # Without a use for the gradient of a frozen parameter, the compiler leaves it out.
        gradients = jax.tree.map(
            lambda share, gradient: jnp.zeros_like(gradient) if share.frozen else gradient,
            shares,
            gradients,
        )
        return loss, hits, gradients

    def accumulated(params, rows: _Rows, key):
        def add(total, part: _Rows):
            return jax.tree.map(jnp.add, total, gradients_of(params, part, key)), None

        count = spec.train.accumulate
        zeros = jax.lax.with_sharding_constraint(
            jax.tree.map(jnp.zeros_like, params), shardings.params
        )
        start = (jnp.zeros(()), jnp.zeros((), jnp.int32), zeros)
        (loss, hits, gradients), _ = jax.lax.scan(add, start, _parts(rows, count, mesh))
        return loss / count, hits, jax.tree.map(lambda gradient: gradient / count, gradients)

    def train_step(state: TrainState, batch: Mapping[str, jax.Array]) -> TrainState:
        targets = make_targets(
            batch,
            num_classes=model.num_classes,
            label_smoothing=spec.train.label_smoothing,
            multi_label=multi_label,
        )
        rows = _Rows(batch["video"], targets, draw(spec, state.step, len(targets)))
        key = step_key(spec.seed, state.step, "drop_path")
        take = gradients_of if spec.train.accumulate == 1 else accumulated
        loss, hits, gradients = take(state.params, rows, key)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            window=_add(state, batch, loss, hits, gradients, updates),
            ema=_averaged(state, params, spec.train.ema_decay),
        )

    compiled = jax.jit(
        train_step,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=shardings,
        # To find a NaN the step is run again, operation by operation, from the same state.
        donate_argnums=() if spec.debug.check_nans else 0,
    )

    return TrainStep(compiled, mesh)


class TrainStep:
    """The jitted step with its mesh."""

    def __init__(self, jitted: jax.stages.Wrapped, mesh: Mesh):
        self._jitted, self._mesh = jitted, mesh

    def __call__(self, state: TrainState, batch: Mapping[str, jax.Array]) -> TrainState:
        """State *n* + 1 from state *n*, whose memory it takes, and batch *n*."""
        with use_mesh(self._mesh):
            return self._jitted(state, dict(batch))

    def lower(self, state: TrainState, batch: Mapping[str, jax.Array]) -> jax.stages.Lowered:
        """The step's program, for arrays like these or `jax.ShapeDtypeStruct`."""
        with use_mesh(self._mesh):
            return self._jitted.lower(state, dict(batch))

    def shapes(self, state: TrainState, batch: Mapping[str, jax.Array]) -> TrainState:
        """Shapes and dtypes of the state after the step; nothing is compiled."""
        with use_mesh(self._mesh):
            return jax.eval_shape(self._jitted, state, dict(batch))


def _hits(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Clips whose highest score is of the class with the largest target, int32.

    Of several equal targets, as several labels are, each counts; none counts at 0.
    """
    own = jnp.take_along_axis(targets, logits.argmax(axis=1, keepdims=True), axis=1)[:, 0]
    return ((own == targets.max(axis=1)) & (own > 0)).sum(dtype=jnp.int32)


def _parts(rows: _Rows, count: int, mesh: Mesh) -> _Rows:
    """Rows as ``[count, B / count, ...]``: every device's rows stay on it, pairs stay together."""
    unit = 1 if rows.draws.mix is None else 2
    sharding = NamedSharding(mesh, PartitionSpec(None, BATCH_AXES))

    def split(leaf: jax.Array) -> jax.Array:
        rest = leaf.shape[1:]
        leaf = leaf.reshape(-1, count, unit, *rest).swapaxes(0, 1).reshape(count, -1, *rest)
        return jax.lax.with_sharding_constraint(leaf, sharding)

    return jax.tree.map(split, rows)


def _averaged(state: TrainState, params: dict, decay: float | None) -> dict | None:
    """The moving average with the new parameters in it.

    At step *n* the decay is at most (1 + *n*) / (10 + *n*), for the first weights to be forgotten.
    """
    if state.ema is None:
        return None
    number = (state.step + 1).astype(jnp.float32)
    share = 1 - jnp.minimum(decay, (1 + number) / (10 + number))
    # Written so that what is frozen stays bit-equal in the average too.
    return jax.tree.map(lambda old, new: old + share * (new - old), state.ema, params)


def _add(
    state: TrainState,
    batch: Mapping[str, jax.Array],
    loss: jax.Array,
    hits: jax.Array,
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
        correct=window.correct + hits,
        clips=window.clips + len(batch["video"]),
        replaced=window.replaced + batch["replaced"].sum(dtype=jnp.int32),
        clip_ids=window.clip_ids + _digest(state.step, batch["index"]),
        grad_norm=window.grad_norm + grad_norm,
        first_bad_step=jnp.where(
            finite | already_bad, window.first_bad_step, state.step.astype(jnp.int32)
        ),
    )


def _digest(step: jax.Array, index: jax.Array) -> jax.Array:
    """Record numbers, each times an odd number of its place, summed modulo 2³²: in any order."""
    place = step.astype(jnp.uint32) * len(index) + jnp.arange(len(index), dtype=jnp.uint32)
    return ((index + 1) * (2 * place + 1)).sum(dtype=jnp.uint32)
