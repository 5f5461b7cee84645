"""The run specification: everything that decides a run, frozen.

A config file's `ml_collections.ConfigDict` has the same tree of names (see
``experiments/defaults.py``, which gives every default and says what it does); `resolve` turns one
into the other. Each specification lists its own problems, so that all are reported at once.
"""

import dataclasses
from collections.abc import Callable, Iterator


def _below(name: str, value: float, low: float) -> Iterator[str]:
    if value < low:
        yield f"{name} is {value}; it must be at least {low}."


def _outside(name: str, value: float, low: float, high: float) -> Iterator[str]:
    if not low <= value < high:
        yield f"{name} is {value}; it must lie in [{low}, {high})."


def _other(name: str, value: str, choices: tuple[str, ...]) -> Iterator[str]:
    if value not in choices:
        yield f"{name} is {value!r}; it must be one of {', '.join(choices)}."


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """The model; see `vidtx.create_model`, which checks these together with the clip's sizes."""

    name: str
    scheme: str
    drop_path: float
    position_embedding: str
    init_stddev: float
    time_init_stddev: float
    dtype: str
    embed_dim: int | None
    depth: int | None
    num_heads: int | None


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """The data set and how clips are cut from it; see `data_pipelines.loader.ClipSpec`."""

    name: str
    data_dir: str
    train_split: str
    eval_split: str
    frames: int
    stride: int
    target_fps: float | None
    image_size: tuple[int, int]
    short_side: tuple[int, int]
    eval_short_side: int
    short_videos: str
    flip: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    max_bad: float
    threads: int

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from _below("data.threads", self.threads, 1)
        if not 0.0 <= self.max_bad <= 1.0:
            yield f"data.max_bad is {self.max_bad}; it is a share and must lie in [0, 1]."
        if min(self.std) <= 0.0:
            yield f"data.std is {self.std}; every channel's must be above 0."


@dataclasses.dataclass(frozen=True)
class TrainSpec:
    """How long, and on how much at a time."""

    global_batch: int
    steps: int | None
    epochs: float | None
    label_smoothing: float
    log_every_steps: int

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from _below("train.global_batch", self.global_batch, 1)
        yield from _below("train.log_every_steps", self.log_every_steps, 1)
        yield from _outside("train.label_smoothing", self.label_smoothing, 0.0, 1.0)
        if (self.steps is None) == (self.epochs is None):
            yield (
                f"train.steps is {self.steps} and train.epochs is {self.epochs}; exactly one of "
                "the two must be given, the other None."
            )
        if self.steps is not None:
            yield from _below("train.steps", self.steps, 1)
        if self.epochs is not None and not self.epochs > 0:
            yield f"train.epochs is {self.epochs}; it must be above 0."


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
    """The optimiser and its learning-rate schedule."""

    name: str
    learning_rate: float
    schedule: str
    warmup_steps: int
    decay_at: tuple[float, ...]
    decay_factor: float
    momentum: float
    b1: float
    b2: float
    weight_decay: float
    weight_decay_on: str
    clip_norm: float | None

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from _other("optimizer.name", self.name, ("sgd", "adamw"))
        yield from _other("optimizer.schedule", self.schedule, ("step", "cosine", "constant"))
        yield from _other("optimizer.weight_decay_on", self.weight_decay_on, ("all", "kernels"))
        if not self.learning_rate > 0:
            yield f"optimizer.learning_rate is {self.learning_rate}; it must be above 0."
        yield from _below("optimizer.warmup_steps", self.warmup_steps, 0)
        yield from _below("optimizer.weight_decay", self.weight_decay, 0)
        for name in ("momentum", "b1", "b2"):
            yield from _outside(f"optimizer.{name}", getattr(self, name), 0.0, 1.0)
        if any(not 0 < at < 1 for at in self.decay_at) or sorted(self.decay_at) != list(
            self.decay_at
        ):
            yield (
                f"optimizer.decay_at is {self.decay_at}; it must hold ascending shares of the run, "
                "each in (0, 1)."
            )
        if not 0 < self.decay_factor <= 1:
            yield f"optimizer.decay_factor is {self.decay_factor}; it must lie in (0, 1]."
        if self.clip_norm is not None and not self.clip_norm > 0:
            yield f"optimizer.clip_norm is {self.clip_norm}; it must be above 0, or None."


@dataclasses.dataclass(frozen=True)
class EvalSpec:
    """How a model is judged."""

    global_batch: int
    every_steps: int | None
    temporal_views: int
    spatial_crops: int
    average: str

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from _below("eval.global_batch", self.global_batch, 1)
        if self.every_steps is not None:
            yield from _below("eval.every_steps", self.every_steps, 1)
        yield from _other("eval.average", self.average, ("softmax", "logits"))


@dataclasses.dataclass(frozen=True)
class CheckpointSpec:
    """How often the state is saved, and how many saves are kept."""

    every_steps: int
    keep: int

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from _below("checkpoint.every_steps", self.every_steps, 1)
        yield from _below("checkpoint.keep", self.keep, 1)


@dataclasses.dataclass(frozen=True)
class MeshSpec:
    """Lengths of the device mesh's axes; -1, at most once, takes the devices that are left."""

    data: int
    fsdp: int

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        axes = dataclasses.asdict(self)
        for name, length in axes.items():
            if length != -1 and length < 1:
                yield f"mesh.{name} is {length}; it must be at least 1, or -1 for what is left."
        if list(axes.values()).count(-1) > 1:
            yield f"mesh is {axes}; only one axis can take the devices that are left."


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """A whole run."""

    name: str
    seed: int
    model: ModelSpec
    data: DataSpec
    train: TrainSpec
    optimizer: OptimizerSpec
    eval: EvalSpec
    checkpoint: CheckpointSpec
    mesh: MeshSpec

    def problems(self) -> list[Callable[[], Iterator[str]]]:
        """For the run and each of its parts, what lists the problems of its values."""
        parts = (self.data, self.train, self.optimizer, self.eval, self.checkpoint, self.mesh)
        return [self._own_problems, *(part.problems for part in parts if part is not None)]

    def _own_problems(self) -> Iterator[str]:
        if not 0 <= self.seed < 2**32:
            yield f"seed is {self.seed}; it must lie in [0, 2**32)."
        steps, warmup = self.train.steps, self.optimizer.warmup_steps
        if steps is not None and 0 < steps <= warmup:
            yield (
                f"optimizer.warmup_steps is {warmup}, but the run has only {steps} steps; it must "
                "be less."
            )


# What may change between two starts of one run: nothing of it changes the trained model, only
# where data lie, how fast they come, and how often one looks.
MAY_CHANGE = frozenset(
    {
        "name",
        "data.data_dir",
        "data.threads",
        "data.max_bad",
        "data.eval_split",
        "data.eval_short_side",
        "eval.global_batch",
        "eval.every_steps",
        "eval.temporal_views",
        "eval.spatial_crops",
        "eval.average",
        "train.log_every_steps",
        "checkpoint.every_steps",
        "checkpoint.keep",
        "mesh.data",
        "mesh.fsdp",
    }
)
