"""From a specification to the parts of a run, or to all that is wrong with it."""

import dataclasses
from collections.abc import Iterator

import jax
import optax
from jax.sharding import Mesh

from data_pipelines.records import DatasetDescription
from vidtx.config import Duration, RunSpec
from vidtx.errors import ConfigError, StoppedError
from vidtx.models import TimeSformer, create_model
from vidtx.reporting import format_table
from vidtx.run.data import RunData, Source, clip_spec
from vidtx.run.fit import MeshOf, misfits, state_lines
from vidtx.sharding import make_mesh
from vidtx.training import (
    Schedule,
    StopSignal,
    TrainState,
    abstract_state,
    boxed_params,
    describe_groups,
    make_optimizer,
    make_schedule,
)


@dataclasses.dataclass(frozen=True)
class Setup:
    """The parts that training and evaluation share.

    Attributes:
      spec: the run.
      mesh: the devices.
      data: what the run reads.
      train_source: records of the train split.
      eval_source: records of the split that the run is judged on.
      model: the model, with as many classes as the data set.
      when: what the loop does at which step.
      schedule: learning rate against step.
      optimizer: the update rule.
      abstract: shapes and places of the train state.
    """

    spec: RunSpec
    mesh: Mesh
    data: RunData
    train_source: Source
    eval_source: Source
    model: TimeSformer
    when: Schedule
    schedule: optax.Schedule
    optimizer: optax.GradientTransformation
    abstract: TrainState


# Where options of a clip have another name in a config.
_CLIP_OPTIONS = {
    "crop": "data.image_size",
    "short": "data.short_videos",
    "temporal_views": "eval.temporal_views",
    "spatial_crops": "eval.spatial_crops",
}


def problems(spec: RunSpec, mesh_of: MeshOf | None = make_mesh) -> Iterator[str]:
    """What is impossible about model, clips and mesh of a specification, a sentence each.

    Everything that can be known without the data set; to be asked together with the
    specification's own problems.

    Args:
      spec: the run.
      mesh_of: makes the mesh, of devices that are here or not; with None no device is asked for.
    """
    model = None
    try:
        model = model_of(spec, num_classes=1)
    except ValueError as error:
        # The number of frames is the clips' as well, and told with them.
        lines = str(error).splitlines()
        yield from (f"model: {line}" for line in lines if not line.startswith("num_frames"))
    try:
        clip_spec(spec)
    except ValueError as error:
        for line in str(error).splitlines():
            name, rest = line.split(" ", 1)
            yield f"{_CLIP_OPTIONS.get(name, f'data.{name}')} {rest}"
    yield from misfits(spec, model, mesh_of)


def model_of(spec: RunSpec, num_classes: int, platform: str | None = None) -> TimeSformer:
    """The model of a specification.

    Args:
      spec: the run.
      num_classes: ``C``.
      platform: of the devices that it will run on: cpu, gpu or tpu; None for JAX's default.

    Raises:
      ValueError: its sizes do not fit together; lists all that do not.
    """
    return create_model(
        spec.model.name,
        scheme=spec.model.scheme,
        num_classes=num_classes,
        num_frames=spec.data.frames,
        image_size=spec.data.image_size,
        drop_path=spec.model.drop_path,
        position_embedding=spec.model.position_embedding,
        init_stddev=spec.model.init_stddev,
        time_init_stddev=spec.model.time_init_stddev,
        dtype=spec.model.dtype,
        embed_dim=spec.model.embed_dim,
        depth=spec.model.depth,
        num_heads=spec.model.num_heads,
        attention=spec.model.attention,
        remat=spec.model.remat,
        scan_layers=spec.model.scan_layers,
        platform=platform,
    )


def set_up(spec: RunSpec, stop: StopSignal, *, may_build: bool) -> Setup:
    """The parts of a run; with ``may_build``, makes the embedded data set if it is absent.

    Raises:
      StoppedError: a signal came while the data set was made.
      ConfigError: the specification is impossible, or its data set is not there.
      DataQualityError: the data set is damaged.
    """
    mesh = make_mesh(spec.mesh)

    def stop_if_asked() -> None:
        if stop.received:
            raise StoppedError(
                f"Stopped by {stop.received} while the data set was made. The same command makes "
                "it anew."
            )

    data = RunData.open(spec, mesh, may_build=may_build, between=stop_if_asked)
    train_source = data.source(spec.data.train_split)
    eval_source = data.source(spec.data.eval_split)
    model = model_of(
        spec, len(data.description.class_names), platform=mesh.devices.flat[0].platform
    )
    refused = list(unfit(spec, data.description)) if may_build else []
    try:
        when, warmup = schedule_of_run(spec, len(train_source))
    except ConfigError as error:
        refused.append(str(error))
    if refused:
        raise ConfigError("\n".join(refused))
    schedule = make_schedule(spec.optimizer, when.total, warmup)
    params = jax.eval_shape(lambda: boxed_params(model))
    optimizer = make_optimizer(spec.optimizer, schedule, params)
    return Setup(
        spec=spec,
        mesh=mesh,
        data=data,
        train_source=train_source,
        eval_source=eval_source,
        model=model,
        when=when,
        schedule=schedule,
        optimizer=optimizer,
        abstract=abstract_state(model, optimizer, mesh, averaged=averages(spec)),
    )


def unfit(spec: RunSpec, description: DatasetDescription) -> Iterator[str]:
    """What the data set does not allow a new run to do with it, a sentence each."""
    if spec.data.flip and not description.mirrorable:
        yield (
            f"data.flip is True, but classes of {description.name} tell left from right, so half "
            "of the clips would be of a wrong class: set data.flip=False."
        )


def schedule_of_run(spec: RunSpec, train_examples: int) -> tuple[Schedule, int]:
    """What happens at which step, and the steps of the warm-up."""
    batch = spec.train.global_batch

    def steps(duration: Duration) -> int | None:
        return duration.in_steps(train_examples, batch)

    total, warmup = steps(spec.train.duration), steps(spec.optimizer.warmup)
    if total < 1:
        raise ConfigError(
            f"train.epochs is {spec.train.epochs} and train.examples {spec.train.examples}, which "
            f"with {train_examples} videos makes no batch of train.global_batch {batch}. Raise "
            "the one or lower the other."
        )
    if warmup >= total:
        raise ConfigError(
            f"optimizer.warmup is {warmup} steps long, but the run has only {total} steps; it must "
            "be less."
        )
    first_traced = spec.profile.first_step
    if first_traced is not None and first_traced >= total:
        raise ConfigError(
            f"profile.first_step is {first_traced}, but the run ends after step {total}; it must "
            "be less."
        )
    evaluate = steps(spec.eval.every)
    when = Schedule(
        total=total,
        log=spec.train.log_every_steps,
        # An interval of less than half a batch means every step.
        save=max(1, steps(spec.checkpoint.every)),
        evaluate=None if evaluate is None else max(1, evaluate),
        keep=spec.checkpoint.keep_every_steps,
    )
    return when, warmup


def averages(spec: RunSpec) -> bool:
    """Whether a run keeps an average of its weights."""
    return spec.train.ema_decay is not None


def summary(setup: Setup) -> str:
    """What is about to run, in a few lines for a person."""
    weights = sum(leaf.size for leaf in jax.tree.leaves(setup.abstract.params))
    spec, description = setup.spec, setup.data.description
    clip = f"{spec.data.frames}×{spec.data.image_size[0]}×{spec.data.image_size[1]}"
    lines = [
        f"run      {spec.name}",
        f"model    {spec.model.name}, {spec.model.scheme} attention, {weights:,} parameters, "
        f"clips of {clip}",
        f"data     {description.name} {description.version}, {len(setup.train_source):,} "
        f"videos to train on, {len(setup.eval_source):,} to be judged on, "
        f"{len(description.class_names)} classes, fingerprint {description.fingerprint[:12]}",
        f"devices  {setup.mesh.size} × {jax.devices()[0].device_kind}, mesh "
        + " × ".join(f"{name} {size}" for name, size in setup.mesh.shape.items()),
        f"length   {setup.when.total:,} steps of {spec.train.global_batch} clips, "
        f"{setup.when.total * spec.train.global_batch / len(setup.train_source):.1f} epochs",
        _memory(setup.data),
        *state_lines(setup.abstract, setup.model, setup.mesh),
    ]
    lines[3:3] = [
        *([f"         of {setup.train_source.split}"] if spec.data.per_class else []),
        *(f"         {line}" for line in _left_out(description)),
        *(
            [f"         read from files as they are, which is slower. To read faster: {command}"]
            if (command := setup.data.built_by)
            else []
        ),
    ]
    if spec.optimizer.freeze or spec.optimizer.groups or spec.optimizer.layer_decay < 1:
        groups = describe_groups(spec.optimizer, setup.abstract.params)
        headers = ("parameters", "arrays", "weights", "learning rate ×", "weight decay ×")
        lines.append(format_table(groups, headers))
    return "\n".join(lines)


def _left_out(description: DatasetDescription) -> Iterator[str]:
    """What the build of a data set has found and left out, a line for each split."""
    for split, counts in sorted(description.counts.items()):
        dropped = description.dropped.get(split, {})
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(dropped.items()) if count)
        yield (
            f"{split}: {counts['listed']:,} videos listed, {counts['found']:,} found, "
            f"{counts['stored']:,} stored; left out: {kinds or 'none'}"
        )


def _memory(data: RunData) -> str:
    training, judging = (f"{size / 1e6:,.1f} MB" for size in data.held_bytes())
    return (
        f"memory   {training} of clips held by the loader on each host, at most, and {judging} "
        "more while it is judged"
    )
