"""The parts of a run specification that say how a model is trained, judged and saved."""

import dataclasses
import itertools
import re
from collections.abc import Iterator

from vidtx.config.checks import Duration, below, other, outside

# Ways to resize position embeddings; `vidtx.weights` does it.
RESIZES = ("nearest", "bilinear", "bicubic", "nearest_1d")


@dataclasses.dataclass(frozen=True)
class TrainSpec:
    """How long, on how much at a time, and towards which targets."""

    global_batch: int
    accumulate: int
    steps: int | None
    epochs: float | None
    examples: int | None
    label_smoothing: float
    mixup: float
    cutmix: float
    ema_decay: float | None
    init_from: str | None
    init_resize: str
    log_every_steps: int

    @property
    def duration(self) -> Duration:
        """Length of the run."""
        return Duration.of(self, "train")

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from below("train.global_batch", self.global_batch, 1)
        yield from below("train.accumulate", self.accumulate, 1)
        yield from below("train.log_every_steps", self.log_every_steps, 1)
        yield from outside("train.label_smoothing", self.label_smoothing, 0.0, 1.0)
        yield from below("train.mixup", self.mixup, 0)
        yield from below("train.cutmix", self.cutmix, 0)
        if self.ema_decay is not None:
            yield from outside("train.ema_decay", self.ema_decay, 0.0, 1.0)
        if self.init_from == "":
            yield (
                "train.init_from is ''; it must name weights (a run, a checkpoint, a file or "
                "hf:OWNER/NAME), or be None."
            )
        yield from other("train.init_resize", self.init_resize, RESIZES)
        yield from self.duration.problems()


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
    """The optimiser, its learning-rate schedule, and which parameters get how much of it."""

    name: str
    learning_rate: float
    schedule: str
    warmup_steps: int | None
    warmup_epochs: float | None
    warmup_examples: int | None
    decay_at: tuple[float, ...]
    decay_factor: float
    momentum: float
    b1: float
    b2: float
    weight_decay: float
    weight_decay_on: str
    clip_norm: float | None
    layer_decay: float
    freeze: tuple[str, ...]
    groups: tuple[tuple[str, float, float], ...]

    @property
    def warmup(self) -> Duration:
        """Length of the warm-up."""
        return Duration.of(self, "optimizer", "warmup_")

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from other("optimizer.name", self.name, ("sgd", "adamw"))
        yield from other("optimizer.schedule", self.schedule, ("step", "cosine", "constant"))
        yield from other(
            "optimizer.weight_decay_on", self.weight_decay_on, ("all", "no_1d", "kernels")
        )
        if not self.learning_rate > 0:
            yield f"optimizer.learning_rate is {self.learning_rate}; it must be above 0."
        yield from self.warmup.problems(may_be_zero=True)
        yield from below("optimizer.weight_decay", self.weight_decay, 0)
        for name in ("momentum", "b1", "b2"):
            yield from outside(f"optimizer.{name}", getattr(self, name), 0.0, 1.0)
        if any(not 0 < at < 1 for at in self.decay_at) or any(
            later <= earlier for earlier, later in itertools.pairwise(self.decay_at)
        ):
            yield (
                f"optimizer.decay_at is {self.decay_at}; it must hold ascending shares of the run, "
                "each in (0, 1)."
            )
        for name in ("decay_factor", "layer_decay"):
            if not 0 < getattr(self, name) <= 1:
                yield f"optimizer.{name} is {getattr(self, name)}; it must lie in (0, 1]."
        if self.clip_norm is not None and not self.clip_norm > 0:
            yield f"optimizer.clip_norm is {self.clip_norm}; it must be above 0, or None."
        yield from self._pattern_problems()

    def _pattern_problems(self) -> Iterator[str]:
        named = [("freeze", pattern) for pattern in self.freeze]
        for pattern, rate, decay in self.groups:
            named.append(("groups", pattern))
            if rate < 0 or decay < 0:
                yield (
                    f"optimizer.groups has {pattern!r} with the factors {rate} and {decay}; both "
                    "must be at least 0."
                )
        for option, pattern in named:
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"optimizer.{option} has {pattern!r}, no regular expression: {error}."


@dataclasses.dataclass(frozen=True)
class EvalSpec:
    """How a model is judged."""

    global_batch: int
    every_steps: int | None
    every_epochs: float | None
    every_examples: int | None
    temporal_views: int
    temporal_position: str
    spatial_crops: int
    average: str
    state: str

    @property
    def every(self) -> Duration:
        """From one evaluation while training to the next."""
        return Duration.of(self, "eval", "every_")

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from below("eval.global_batch", self.global_batch, 1)
        yield from self.every.problems(optional=True)
        yield from other("eval.average", self.average, ("softmax", "logits"))
        yield from other("eval.state", self.state, ("newest", "best"))


@dataclasses.dataclass(frozen=True)
class CheckpointSpec:
    """How often the state is saved, and which saves are kept."""

    every_steps: int | None
    every_epochs: float | None
    every_examples: int | None
    keep: int
    keep_every_steps: int | None
    keep_best: int

    @property
    def every(self) -> Duration:
        """From one save to the next."""
        return Duration.of(self, "checkpoint", "every_")

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from self.every.problems()
        yield from below("checkpoint.keep", self.keep, 1)
        yield from below("checkpoint.keep_best", self.keep_best, 0)
        if self.keep_every_steps is not None:
            yield from below("checkpoint.keep_every_steps", self.keep_every_steps, 1)


@dataclasses.dataclass(frozen=True)
class ProfileSpec:
    """Which steps are traced for TensorBoard's profiler."""

    first_step: int | None
    steps: int

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from below("profile.steps", self.steps, 1)
        if self.first_step is not None:
            yield from below("profile.first_step", self.first_step, 0)


@dataclasses.dataclass(frozen=True)
class DebugSpec:
    """What helps to find out why a run does not learn."""

    check_nans: bool
    one_batch: bool
