"""The compiled programs of a run, from its specification alone: nothing is read or computed.

For what wants to know what a step costs before any data set or device is there: `vidtx compile`,
`vidtx describe`, `vidtx benchmark`.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from vidtx.config import RunSpec
from vidtx.errors import ConfigError
from vidtx.evaluation import EvalStep, make_eval_step
from vidtx.models import TimeSformer
from vidtx.run.setup import averages, model_of
from vidtx.sharding import batch_parts, batch_sharding
from vidtx.training import (
    TrainState,
    TrainStep,
    abstract_state,
    boxed_params,
    make_optimizer,
    make_schedule,
    make_train_step,
)

__all__ = ["CLASSES", "Programs", "num_classes_of"]

# Of published data sets, by the names that the experiments give them.
CLASSES = {
    "diving48": 48,
    "hmdb51": 51,
    "howto100m": 1059,
    "kinetics400": 400,
    "kinetics600": 600,
    "kinetics700": 700,
    "motions": 8,
    "something_something_v2": 174,
    "ucf101": 101,
}

# What a schedule is made for; how long a run is changes constants of its programs, not their size.
_STEPS, _WARMUP = 1000, 0


def num_classes_of(spec: RunSpec, given: int | None = None) -> int:
    """Classes of a run's data set, which need not be there.

    Args:
      spec: the run.
      given: by the user, for a data set that is not known.

    Raises:
      ConfigError: none were given, and the data set is not a known one.
    """
    name = spec.data.name.partition(":")[0]
    if given is None and name not in CLASSES:
        raise ConfigError(
            f"How many classes data set {spec.data.name!r} has is not known here; known are "
            f"{', '.join(CLASSES)}. Give --classes=N."
        )
    return CLASSES[name] if given is None else given


@dataclasses.dataclass(frozen=True)
class Programs:
    """What a run executes on a mesh, whose devices need not be there (see `make_mesh`).

    Attributes:
      spec: the run.
      mesh: the devices.
      model: the model.
      optimizer: the update rule.
      abstract: shapes and places of the train state.
    """

    spec: RunSpec
    mesh: Mesh
    model: TimeSformer
    optimizer: optax.GradientTransformation
    abstract: TrainState

    @classmethod
    def of(cls, spec: RunSpec, mesh: Mesh, num_classes: int) -> "Programs":
        """The programs of a specification without problems."""
        model = model_of(spec, num_classes, platform=mesh.devices.flat[0].platform)
        params = jax.eval_shape(lambda: boxed_params(model))
        schedule = make_schedule(spec.optimizer, _STEPS, _WARMUP)
        optimizer = make_optimizer(spec.optimizer, schedule, params)
        abstract = abstract_state(model, optimizer, mesh, averaged=averages(spec))
        return cls(spec, mesh, model, optimizer, abstract)

    @property
    def train_step(self) -> TrainStep:
        """The train step, not compiled yet."""
        return make_train_step(self.spec, self.model, self.optimizer, self.mesh, self.abstract)

    @property
    def eval_step(self) -> EvalStep:
        """The evaluation step, not compiled yet."""
        return make_eval_step(self.spec, self.model, self.mesh)

    @property
    def train_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """A batch of the train step: shapes, dtypes and places."""
        rows = self.spec.train.global_batch
        return self._batch(
            rows,
            video=(self._clip, jnp.uint8),
            index=((), jnp.uint32),
            replaced=((), jnp.int32),
        )

    @property
    def eval_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The same of the evaluation step; its rows are videos, each of all its views."""
        judged, parts = self.spec.eval, batch_parts(self.mesh)
        views = judged.temporal_views * judged.spatial_crops
        return self._batch(
            -(-judged.global_batch // parts) * parts,
            video=((views, *self._clip), jnp.uint8),
            weight=((), jnp.float32),
            failed=((), jnp.int32),
            index=((), jnp.int32),
        )

    def lower_train(self) -> jax.stages.Lowered:
        """The train step's program."""
        return self.train_step.lower(self.abstract, self.train_batch)

    def lower_eval(self) -> jax.stages.Lowered:
        """The evaluation step's program."""
        return self.eval_step.lower(self.model.num_classes, self.abstract.judged, self.eval_batch)

    @property
    def _clip(self) -> tuple[int, ...]:
        data = self.spec.data
        return (data.frames, *data.image_size, 3)

    def _batch(self, rows: int, **columns) -> dict[str, jax.ShapeDtypeStruct]:
        if self.spec.data.multi_label:
            columns["labels"] = ((self.model.num_classes,), jnp.uint8)
        else:
            columns["label"] = ((), jnp.int32)
        place = batch_sharding(self.mesh)
        return {
            name: jax.ShapeDtypeStruct((rows, *shape), dtype, sharding=place)
            for name, (shape, dtype) in columns.items()
        }
