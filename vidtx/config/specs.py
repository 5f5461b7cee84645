"""The run specification: everything that decides a run, frozen.

A config file's `ml_collections.ConfigDict` has the same tree of names (see
``experiments/defaults.py``, which gives every default and says what it does); `resolve` turns one
into the other. Each specification lists its own problems, so that all are reported at once.
"""

import dataclasses
from collections.abc import Callable, Iterator

from vidtx.config.checks import below, other
from vidtx.config.training_specs import (
    CheckpointSpec,
    DebugSpec,
    EvalSpec,
    OptimizerSpec,
    ProfileSpec,
    TrainSpec,
)


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
    attention: str
    remat: str
    scan_layers: bool


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """The data set and how clips are cut from it.

    See `data_pipelines.loader.ClipSpec`, which checks how clips are cut, with those options of
    `EvalSpec` that are about clips; `vidtx.run.problems` tells all of it together.
    """

    name: str
    data_dir: str
    source: str
    train_split: str
    eval_split: str
    per_class: int | None
    frames: int
    stride: int
    sampling: str
    target_fps: float | None
    image_size: tuple[int, int]
    short_side: tuple[int, int]
    short_side_draw: str
    eval_short_side: int
    short_videos: str
    flip: bool
    rand_augment: int
    rand_augment_magnitude: float
    color_jitter: float
    erase: float
    multi_label: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str
    max_bad: float
    threads: int
    workers: int

    def problems(self) -> Iterator[str]:
        """What is impossible about the values, a sentence each."""
        yield from below("data.threads", self.threads, 0)
        yield from below("data.workers", self.workers, 0)
        yield from other("data.source", self.source, ("tfds", "folder"))
        yield from other("data.channel_order", self.channel_order, ("rgb", "bgr"))
        if self.per_class is not None:
            yield from below("data.per_class", self.per_class, 1)
            if self.multi_label:
                yield (
                    f"data.per_class is {self.per_class}, but data.multi_label gives a video any "
                    "number of classes; set one of the two to None or False."
                )
            if self.eval_split == self.train_split:
                yield (
                    f"data.per_class is {self.per_class}, and data.eval_split is the train split, "
                    f"{self.train_split!r}, of which it leaves the same few; judge on another."
                )
        if not 0.0 <= self.max_bad <= 1.0:
            yield f"data.max_bad is {self.max_bad}; it is a share and must lie in [0, 1]."
        if min(self.std) <= 0.0:
            yield f"data.std is {self.std}; every channel's must be above 0."


@dataclasses.dataclass(frozen=True)
class MeshSpec:
    """Lengths of the device mesh's axes; -1, at most once, takes the devices that are left."""

    data: int = -1
    fsdp: int = 1
    sequence: int = 1
    tensor: int = 1

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
    profile: ProfileSpec
    debug: DebugSpec

    def problems(self) -> list[Callable[[], Iterator[str]]]:
        """For the run and each of its parts, what lists the problems of its values."""
        parts = (
            self.data,
            self.train,
            self.optimizer,
            self.eval,
            self.checkpoint,
            self.mesh,
            self.profile,
        )
        return [self._own_problems, *(part.problems for part in parts if part is not None)]

    def _own_problems(self) -> Iterator[str]:
        if not 0 <= self.seed < 2**32:
            yield f"seed is {self.seed}; it must lie in [0, 2**32)."
        steps, warmup = self.train.steps, self.optimizer.warmup_steps
        if steps is not None and warmup is not None and 0 < steps <= warmup:
            yield (
                f"optimizer.warmup_steps is {warmup}, but the run has only {steps} steps; it must "
                "be less."
            )
        if self.data.multi_label and self.train.label_smoothing:
            yield (
                f"train.label_smoothing is {self.train.label_smoothing}, but data.multi_label "
                "trains a yes or no for each class; set it to 0."
            )


# What may change between two starts of one run: nothing of it changes the trained model, only
# where data lie, how fast they come, and how often one looks.
MAY_CHANGE = frozenset(
    {
        "name",
        "data.data_dir",
        "data.threads",
        "data.workers",
        "data.max_bad",
        "data.eval_split",
        "data.eval_short_side",
        "eval.global_batch",
        "eval.every_steps",
        "eval.every_epochs",
        "eval.every_examples",
        "eval.temporal_views",
        "eval.temporal_position",
        "eval.spatial_crops",
        "eval.average",
        "eval.state",
        "train.accumulate",
        "train.log_every_steps",
        "checkpoint.every_steps",
        "checkpoint.every_epochs",
        "checkpoint.every_examples",
        "checkpoint.keep",
        "checkpoint.keep_every_steps",
        "checkpoint.keep_best",
        "mesh.data",
        "mesh.fsdp",
        "mesh.sequence",
        "mesh.tensor",
        "model.attention",
        "model.remat",
        "model.scan_layers",
        "profile.first_step",
        "profile.steps",
        "debug.check_nans",
    }
)
