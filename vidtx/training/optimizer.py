"""Optimiser and learning-rate schedule (paper, Appendix A; authors' recipe)."""

import jax
import optax

from vidtx.config import OptimizerSpec


def make_schedule(spec: OptimizerSpec, total_steps: int, warmup: int) -> optax.Schedule:
    """Learning rate against the step that is about to be taken, counted from 0.

    Args:
      spec: the schedule's options.
      total_steps: length of the run, which cosine ends at and step drops at shares of.
      warmup: steps of the linear warm-up that comes before each kind.
    """
    rate = spec.learning_rate
    if spec.schedule == "cosine":
        main = optax.cosine_decay_schedule(rate, max(1, total_steps - warmup))
    elif spec.schedule == "step":
        drops = {round(share * total_steps) - warmup: spec.decay_factor for share in spec.decay_at}
        main = optax.piecewise_constant_schedule(rate, drops)
    else:
        main = optax.constant_schedule(rate)
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), main], [warmup])


def make_optimizer(spec: OptimizerSpec, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The update rule.

    SGD adds weight decay to the gradient (L2) before Nesterov momentum; AdamW decouples it. With
    ``weight_decay_on="kernels"`` it leaves out norms, biases and the embedding tables.
    """
    mask = None if spec.weight_decay_on == "all" else _kernels
    parts = []
    if spec.clip_norm is not None:
        parts.append(optax.clip_by_global_norm(spec.clip_norm))
    if spec.name == "sgd":
        parts.append(optax.add_decayed_weights(spec.weight_decay, mask))
        parts.append(optax.sgd(schedule, spec.momentum, nesterov=True))
    else:
        parts.append(
            optax.adamw(schedule, spec.b1, spec.b2, weight_decay=spec.weight_decay, mask=mask)
        )
    return optax.chain(*parts)


def _kernels(params):
    # A path may end in the box that carries a parameter's axis names.
    kernel = jax.tree_util.DictKey("kernel")
    return jax.tree.map_with_path(lambda path, _: kernel in path, params)
