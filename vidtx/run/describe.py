"""What a run would be, before anything runs: of its specification, its data and its directory.

Neither data set nor devices need be there, no weight is allocated and nothing is changed.
"""

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType

from vidtx.config import MeshSpec, RunSpec
from vidtx.errors import ConfigError, VidtxError
from vidtx.run.backends import refused_backends
from vidtx.run.describe_data import Found, describe_data, describe_loader, find_data
from vidtx.run.describe_length import describe_length
from vidtx.run.describe_model import (
    PLATFORMS,
    describe_memory,
    describe_mesh,
    describe_model,
    state_on,
    traceable,
)
from vidtx.run.describe_start import describe_init_from, describe_workdir
from vidtx.run.programs import CLASSES
from vidtx.run.setup import model_of, problems, unfit
from vidtx.sharding import AXES, axis_lengths, batch_parts
from vidtx.training import boxed_params, describe_groups

__all__ = ["PLATFORMS", "Devices", "describe", "problems_on"]


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices that a run is described for.

    Attributes:
      count: how many.
      platform: cpu, gpu or tpu.
      kind: what they call themselves, or None where they are not here.
    """

    count: int
    platform: str
    kind: str | None = None

    @classmethod
    def of(
        cls, spec: RunSpec, *, count: int | None = None, platform: str | None = None
    ) -> "Devices":
        """As many as are asked for, or as the mesh's axes ask for, or those that are here.

        Args:
          spec: the run.
          count: asked for.
          platform: of them, unless they are here; by default the one that ``model.attention`` is
            for, which is TPUs but for ``cudnn``.
        """
        count = cls.fixed(spec) if count is None else count
        if count is None:
            here = jax.devices()
            return cls(len(here), platform or here[0].platform, here[0].device_kind)
        return cls(count, platform or ("gpu" if spec.model.attention == "cudnn" else "tpu"))

    @staticmethod
    def fixed(spec: RunSpec) -> int | None:
        """How many the mesh's axes ask for, or None where they take what is left."""
        lengths = [getattr(spec.mesh, axis) for axis in AXES]
        return math.prod(lengths) if min(lengths) >= 1 else None

    def mesh(self, mesh: MeshSpec) -> AbstractMesh:
        """The mesh of a specification on them.

        Raises:
          ConfigError: the axes' product is not their number.
        """
        lengths = axis_lengths(mesh, self.count)
        types = (AxisType.Auto,) * len(AXES)
        return AbstractMesh(tuple(lengths[axis] for axis in AXES), AXES, axis_types=types)


def problems_on(spec: RunSpec, devices: Devices) -> Iterator[str]:
    """What is impossible about a specification on devices that need not be here, a sentence each.

    As `vidtx.run.problems`, which asks the devices that are; and, beyond it, patterns of the
    optimiser that match nothing, which training finds out when it makes its model.
    """
    yield from problems(spec, devices.mesh)
    model = None
    with contextlib.suppress(ValueError):  # told above
        model = model_of(spec, 1, platform=devices.platform)
    if model is None or any(spec.mesh.problems()):
        return
    refused = list(refused_backends(model, devices.platform))
    yield from refused
    own = spec.optimizer
    # Otherwise there are no patterns that could match nothing, and no need to make the model.
    sorts = own.freeze or own.groups or own.layer_decay < 1
    if sorts and not refused and not any(own.problems()):
        traced = traceable(model)
        try:
            describe_groups(own, jax.eval_shape(lambda: boxed_params(traced)))
        except ConfigError as error:
            yield from str(error).splitlines()


def describe(
    spec: RunSpec,
    devices: Devices,
    *,
    classes: int | None = None,
    workdir: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """A run as it would be, as plain values, ready for JSON.

    Args:
      spec: the run, without problems on these devices (`problems_on`).
      devices: that it would run on.
      classes: of its data set, where that is absent and no published one.
      workdir: its directory, or None.

    Returns:
      ``run``, ``model``, ``cost``, ``clip``, ``attention``, ``mesh``, ``memory`` (bytes on each
      device), ``length``, ``data``, ``loader`` (bytes on each host), ``workdir`` and ``init_from``
      (None where there is none), and ``refused``: why training would not begin, each with its
      ``exit_code`` and ``message``. That a data set is absent is none of these reasons; what is not
      known for it is None.

    Raises:
      ConfigError: the data set has another number of classes than was given.
    """
    found = find_data(spec)
    num_classes = _num_classes(spec, found, classes)
    # Where the number is not known, only the head's size is not.
    model = model_of(spec, num_classes or 1, platform=devices.platform)
    mesh = devices.mesh(spec.mesh)
    abstract = state_on(spec, model, mesh)
    refusals: list[VidtxError] = [*found.refusals]
    examples = found.examples.get(spec.data.train_split)
    length, total = None, None
    try:
        length = describe_length(spec, examples)
        total = (length["run"] or {}).get("steps")
    except ConfigError as error:
        refusals.append(error)
    there = found.description
    start, source = None, None
    if workdir is not None:
        data = None if there is None else dataclasses.asdict(there)
        start = describe_workdir(spec, workdir, total, data)
        refusals += start.refusals
    if there is not None and (start is None or start.facts["status"] == "new"):
        # A run that is under way has been told.
        refusals += map(ConfigError, unfit(spec, there))
    begins = start is None or not start.facts["checkpoints"]
    if spec.train.init_from is not None and begins:
        source = describe_init_from(spec, spec.train.init_from, there and there.class_names)
        refusals += source.refusals
    return {
        "run": {"name": spec.name, "seed": spec.seed},
        **describe_model(spec, model, num_classes, abstract),
        "mesh": {
            **describe_mesh(spec, mesh, abstract),
            "platform": devices.platform,
            "kind": devices.kind,
        },
        "memory": describe_memory(spec, model, mesh, abstract),
        "length": length,
        "data": describe_data(spec, found, num_classes),
        "loader": describe_loader(spec, batch_parts(mesh)),
        "workdir": start and start.facts,
        "init_from": source and source.facts,
        "refused": [{"exit_code": error.exit_code, "message": str(error)} for error in refusals],
    }


def _num_classes(spec: RunSpec, found: Found, given: int | None) -> int | None:
    own = found.num_classes
    if own is not None and given is not None and own != given:
        raise ConfigError(
            f"--classes={given}, but data set {spec.data.name!r} has {own} classes; leave it out."
        )
    known = CLASSES.get(spec.data.name.partition(":")[0])
    return next((number for number in (own, given, known) if number is not None), None)
