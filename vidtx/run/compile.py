"""Compiling a run's step for a TPU slice that is not there, and what that tells."""

import functools
import re
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import jax

from vidtx.analysis import count_macs
from vidtx.analysis.compiled import count_costs
from vidtx.analysis.hlo import Program, read_program
from vidtx.analysis.roofline import estimate_times
from vidtx.analysis.topology import Topology, quiet, read_topology
from vidtx.config import RunSpec
from vidtx.errors import ConfigError, MachineError
from vidtx.run.compile_report import Memory, StepReport
from vidtx.run.cures import DoesNotFitError, explain_lack
from vidtx.run.programs import Programs, num_classes_of
from vidtx.run.setup import problems
from vidtx.sharding import make_mesh

__all__ = ["DoesNotFitError", "compile_step", "problems_on"]

MODES = ("train", "eval")

_GIB = 2**30
# In the messages of libtpu 0.0.42 and of earlier ones.
_LACKS = (
    re.compile(
        r"\((?P<need>[\d.]+)(?P<unit>[KMGT])\) exceeds available HBM \((?P<limit>[\d.]+)G\)"
    ),
    re.compile(r"Used (?P<need>[\d.]+)(?P<unit>[KMGT]) of (?P<limit>[\d.]+)G hbm"),
)
_UNITS = {"K": 2**10, "M": 2**20, "G": _GIB, "T": 2**40}

# What the step's arguments are, by the beginning of their names.
_KINDS = (
    ("state.params", "weights"),
    ("params", "weights"),
    ("state.opt_state", "optimizer"),
    ("state.ema", "averaged"),
    ("batch", "batch"),
)


def problems_on(devices: list[jax.Device]) -> Callable[[RunSpec], Iterator[str]]:
    """For `vidtx.config.resolve`: what is impossible about a run on these devices.

    Args:
      devices: that need not be there, as of `Topology.devices`.
    """
    return functools.partial(problems, mesh_of=lambda mesh: make_mesh(mesh, devices))


def compile_step(
    spec: RunSpec,
    topology: Topology | str,
    *,
    mode: str = "train",
    num_classes: int | None = None,
) -> StepReport:
    """Compiles the step that a run would execute, and reads off what it costs.

    It takes libtpu, no TPU, and from some seconds to a few minutes. Nothing is allocated.

    Args:
      spec: the run.
      topology: where it would run, or its name, such as ``v5e:4x4``.
      mode: ``train`` or ``eval``.
      num_classes: of a data set that is not known; see `num_classes_of`.

    Raises:
      ConfigError: the topology, the run on it, the mode or the number of classes is impossible.
      MachineError: libtpu is not installed or cannot compile this.
      DoesNotFitError: the step takes more memory than a device has.
    """
    if mode not in MODES:
        raise ConfigError(f"mode is {mode!r}; it must be one of {', '.join(MODES)}.")
    topology = read_topology(topology) if isinstance(topology, str) else topology
    classes, devices = num_classes_of(spec, num_classes), topology.devices()
    found = list(problems_on(devices)(spec))
    if found:
        raise ConfigError("\n".join(found))
    mesh = make_mesh(spec.mesh, devices)
    programs = Programs.of(spec, mesh, classes)
    begin = time.perf_counter()
    lowered = programs.lower_train() if mode == "train" else programs.lower_eval()
    middle = time.perf_counter()
    compiled = _compile(programs, lowered, topology, mode)
    end = time.perf_counter()
    program = read_program(compiled.as_text())
    costs = count_costs(program, mesh.size)
    forward = 2 * count_macs(programs.model).total
    xla = compiled.cost_analysis() or {}
    return StepReport(
        name=spec.name,
        mode=mode,
        topology=topology,
        mesh=dict(mesh.shape),
        clips=_clips(programs, mode),
        memory=_memory(program, compiled.memory_analysis(), topology),
        costs=costs,
        times=estimate_times(costs, topology.chip, topology.link_share),
        model_flops_per_clip=forward * (3 if mode == "train" else 1),
        xla_flops=float(xla.get("flops", 0.0)),
        xla_bytes_accessed=float(xla.get("bytes accessed", 0.0)),
        lower_seconds=middle - begin,
        compile_seconds=end - middle,
        versions={name: metadata.version(name) for name in ("jax", "jaxlib", "libtpu")},
    )


def _compile(
    programs: Programs, lowered: jax.stages.Lowered, topology: Topology, mode: str
) -> jax.stages.Compiled:
    # A program for devices that are not there cannot be read back from the cache.
    cached = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        with quiet():
            return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        found = next(filter(None, (pattern.search(text) for pattern in _LACKS)), None)
        if found:
            need = float(found["need"]) * _UNITS[found["unit"]]
            raise explain_lack(
                programs, topology, mode, need, float(found["limit"]) * _GIB, text
            ) from error
        raise MachineError(
            f"libtpu's compiler gave up on the step for {topology.name}: {text}\nThis is no matter "
            "of the config alone; try another mesh, model.attention=xla, or other versions of JAX "
            "and libtpu."
        ) from error
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)


def _clips(programs: Programs, mode: str) -> int:
    """Clips of a step, over all devices."""
    if mode == "train":
        return programs.spec.train.global_batch
    rows, views = programs.eval_batch["video"].shape[:2]
    return rows * views


def _memory(program: Program, stats: Any, topology: Topology) -> Memory:
    kinds = dict.fromkeys(("weights", "optimizer", "averaged", "batch", "other"), 0)
    for parameter in program.computations[program.entry].parameters.values():
        found = re.search(r'op_name="([^"]*)"', parameter.attributes)
        name = found[1] if found else ""
        kind = next((kind for start, kind in _KINDS if name.startswith(start)), "other")
        kinds[kind] += sum(shape.padded_bytes for shape in parameter.shapes)
    return Memory(
        **kinds,
        outputs=stats.output_size_in_bytes - stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
        peak=stats.peak_memory_in_bytes,
        limit=topology.chip.hbm_bytes,
    )
