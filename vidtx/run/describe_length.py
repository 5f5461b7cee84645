"""How long a run is, in steps, epochs and clips, and its learning rate on the way."""

from collections.abc import Iterator
from typing import Any

from vidtx.config import Duration, RunSpec
from vidtx.errors import ConfigError
from vidtx.run.setup import schedule_of_run
from vidtx.training import make_schedule

__all__ = ["describe_length"]

# Steps of an epoch where videos are not counted yet: fine enough for shares of a run.
_STEPS_OF_AN_EPOCH = 10_000


def describe_length(spec: RunSpec, train_examples: int | None) -> dict[str, Any]:
    """How long the run and its parts are, as plain values, ready for JSON.

    Args:
      spec: the run.
      train_examples: videos of the train split, or None where that is not known: then only those
        units are told that do not depend on it.

    Returns:
      ``run``, ``warmup``, ``evaluate_every`` (None: at the end alone), ``checkpoint_every`` and
      ``log_every``, each with ``steps``, ``epochs`` and ``examples``; ``learning_rate``, a list of
      ``when``, ``step``, ``epoch`` and ``rate`` (None where nothing can be told).

    Raises:
      ConfigError: with so many videos there is no such run.
    """
    batch = spec.train.global_batch

    def length(steps: int | None, epochs: float | None = None) -> dict[str, Any]:
        if steps is not None and train_examples is not None:
            epochs = steps * batch / train_examples
        elif steps == 0:
            epochs = 0.0
        examples = None if steps is None else steps * batch
        return {"steps": steps, "epochs": epochs, "examples": examples}

    log = length(spec.train.log_every_steps)
    if train_examples is not None:
        when, warmup = schedule_of_run(spec, train_examples)
        return {
            "run": length(when.total),
            "warmup": length(warmup),
            "evaluate_every": None if when.evaluate is None else length(when.evaluate),
            "checkpoint_every": length(when.save),
            "log_every": log,
            "learning_rate": list(_rates(spec, when.total, warmup, train_examples / batch)),
        }

    def told(duration: Duration) -> dict[str, Any] | None:
        # A number of epochs is all that the number of videos is needed for.
        steps = None if duration.epochs is not None else duration.in_steps(0, batch)
        return length(steps, duration.epochs) if duration.given else None

    return {
        "run": told(spec.train.duration),
        "warmup": told(spec.optimizer.warmup),
        "evaluate_every": told(spec.eval.every),
        "checkpoint_every": told(spec.checkpoint.every),
        "log_every": log,
        "learning_rate": _rates_without_data(spec),
    }


def _rates_without_data(spec: RunSpec) -> list[dict[str, Any]] | None:
    """The same where the videos are not counted, if run and warm-up are in the same unit."""
    run, warmup, batch = spec.train.duration, spec.optimizer.warmup, spec.train.global_batch
    no_warmup = not (warmup.steps or warmup.epochs or warmup.examples)
    if run.epochs is None and warmup.epochs is None:
        return list(_rates(spec, run.in_steps(0, batch), warmup.in_steps(0, batch), None))
    if run.epochs is None or not (no_warmup or warmup.epochs is not None):
        return None
    examples = _STEPS_OF_AN_EPOCH * batch
    points = _rates(
        spec, run.in_steps(examples, batch), warmup.in_steps(examples, batch), _STEPS_OF_AN_EPOCH
    )
    return [point | {"step": None, "epoch": round(point["epoch"], 2)} for point in points]


def _rates(
    spec: RunSpec, total: int, warmup: int, steps_of_an_epoch: float | None
) -> Iterator[dict[str, Any]]:
    """The learning rate of notable steps; step *n* is the one that is taken from state *n*."""
    if warmup >= total:
        raise ConfigError(
            f"optimizer.warmup is {warmup} steps long, but the run has only {total} steps; it must "
            "be less."
        )
    schedule = make_schedule(spec.optimizer, total, warmup)
    points = [("first step", 0)]
    if warmup:
        points.append(("end of warm-up", warmup))
    if spec.optimizer.schedule == "step":
        drops = (round(share * total) for share in spec.optimizer.decay_at)
        points += [("drop", step) for step in drops if warmup < step < total]
    elif spec.optimizer.schedule == "cosine":
        points.append(("half way down", (warmup + total) // 2))
    points.append(("last step", total - 1))
    for when, step in points:
        yield {
            "when": when,
            "step": step,
            "epoch": None if steps_of_an_epoch is None else step / steps_of_an_epoch,
            # Of float32, which is not exact beyond.
            "rate": float(f"{float(schedule(step)):.6g}"),
        }
