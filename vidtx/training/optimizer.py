"""Optimiser and learning-rate schedule (paper, Appendix A; authors' recipe)."""

import jax
import jax.numpy as jnp
import optax

from vidtx.config import OptimizerSpec
from vidtx.training.groups import settle


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
        drops: dict[int, float] = {}
        for share in spec.decay_at:  # in a short run several may come to the same step
            step = round(share * total_steps) - warmup
            drops[step] = drops.get(step, 1.0) * spec.decay_factor
        main = optax.piecewise_constant_schedule(rate, drops)
    else:
        main = optax.constant_schedule(rate)
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), main], [warmup])


def make_optimizer(
    spec: OptimizerSpec, schedule: optax.Schedule, params
) -> optax.GradientTransformation:
    """The update rule.

    SGD adds weight decay to the gradient (L2) before Nesterov momentum; AdamW decouples it. The
    learning-rate factor of a parameter multiplies its whole update, decoupled decay included. A
    frozen parameter keeps every bit; it has no moments, and its gradient takes no part in the norm
    that ``clip_norm`` bounds.

    Args:
      spec: the optimiser's options.
      schedule: learning rate against the number of updates so far.
      params: what is to be trained, as arrays or abstract arrays, boxed or not. It settles, here
        and once, which parameter gets what (`vidtx.training.groups.settle`).

    Returns:
      The rule for parameters named as ``params`` are; its ``update`` needs them as they are now.

    Raises:
      ConfigError: the options do not fit these parameters; the message lists why.
    """
    shares = settle(spec, params)
    decay = _add_decay(jax.tree.map(lambda share: spec.weight_decay * share.decay, shares))
    parts = []
    if spec.clip_norm is not None:
        parts.append(optax.clip_by_global_norm(spec.clip_norm))
    if spec.name == "sgd":
        parts += [decay, optax.sgd(schedule, spec.momentum, nesterov=True)]
    else:
        adam = optax.scale_by_adam(spec.b1, spec.b2)
        parts.append(optax.chain(adam, decay, optax.scale_by_learning_rate(schedule)))
    rule = optax.chain(*parts)
    if any(share.frozen for share in jax.tree.leaves(shares)):
        rule = optax.masked(rule, jax.tree.map(lambda share: not share.frozen, shares))
    if any(share.rate != 1 for share in jax.tree.leaves(shares)):
        rule = optax.chain(rule, _apply_rates(shares))
    return rule


def _add_decay(rates) -> optax.GradientTransformation:
    # What is frozen has the rate 0, and in place of a gradient and a parameter a node without any.
    def decayed(rate, gradient, param):
        return gradient + rate * param if rate else gradient

    return optax.stateless(lambda updates, params: jax.tree.map(decayed, rates, updates, params))


def _apply_rates(shares) -> optax.GradientTransformation:
    def scaled(share, update):
        if share.frozen:
            # Adding -0.0 changes nothing; adding 0.0 would make 0.0 of -0.0.
            return jnp.full_like(update, -0.0)
        return update if share.rate == 1 else share.rate * update

    return optax.stateless(lambda updates, _: jax.tree.map(scaled, shares, updates))
