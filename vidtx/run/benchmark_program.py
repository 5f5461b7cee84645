"""What the compiler and the devices say about a program that is benchmarked."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator

import jax
from jax.sharding import Mesh

from vidtx.errors import ConfigError, MachineError
from vidtx.models import TimeSformer
from vidtx.run.backends import step_backends

__all__ = [
    "Compilation",
    "Devices",
    "Memory",
    "attention_backends",
    "check_fits",
    "compile_timed",
    "compiled_costs",
    "gigabytes",
    "out_of_memory",
]

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))
_CACHE_HIT = "/jax/compilation_cache/cache_hits"


@dataclasses.dataclass(frozen=True)
class Devices:
    """What a benchmark ran on.

    Attributes:
      kind: of a device, as the maker names it; ``cpu`` for a processor.
      platform: cpu, gpu or tpu.
      count: of all processes.
      mesh: lengths of the mesh's axes by name.
    """

    kind: str
    platform: str
    count: int
    mesh: dict[str, int]

    @classmethod
    def of(cls, mesh: Mesh) -> "Devices":
        """The devices of a mesh."""
        device = mesh.devices.flat[0]
        return cls(device.device_kind, device.platform, mesh.size, dict(mesh.shape))

    def text(self) -> str:
        """One line about them."""
        axes = " × ".join(f"{name} {length}" for name, length in self.mesh.items())
        return f"{self.count} × {self.kind}, mesh {axes}"

    def caution(self) -> str | None:
        """What these devices' figures do not say, or None."""
        if self.platform != "cpu":
            return None
        shared = (
            f" Its {self.count} devices are simulated and share its cores."
            if self.count > 1
            else ""
        )
        return (
            "Measured on the processor of this machine, and true of it alone: it says nothing "
            f"about any accelerator.{shared}"
        )


@dataclasses.dataclass(frozen=True)
class Compilation:
    """How long a program took to be made.

    Attributes:
      trace_seconds: until it could be handed to the compiler.
      compile_seconds: after that.
      cached: whether it came from JAX's cache of compiled programs, and the compiler did not work.
    """

    trace_seconds: float
    compile_seconds: float
    cached: bool

    def text(self) -> str:
        """One line about it."""
        cached = ", from the cache of compiled programs" if self.cached else ""
        return f"{self.compile_seconds:.2f} s{cached}, after {self.trace_seconds:.2f} s of tracing"


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device while a program runs.

    Attributes:
      arguments: what it is given, such as state and batch.
      results: what it returns, where that takes no memory of an argument.
      temporaries: all in between, as the compiler has laid it out.
      code: the program.
      total: of these.
      measured_peak: the most that was in use, as the device counts it; None where it does not
        count, or where this process had used more before.
    """

    arguments: int
    results: int
    temporaries: int
    code: int
    total: int
    measured_peak: int | None = None

    @classmethod
    def of(cls, compiled: jax.stages.Compiled) -> "Memory":
        """By the compiler; 0 for what it does not tell."""
        found = compiled.memory_analysis()

        def size(name: str) -> int:
            return int(getattr(found, f"{name}_size_in_bytes", 0))

        parts = {
            "arguments": size("argument"),
            "results": max(0, size("output") - size("alias")),
            "temporaries": size("temp"),
            "code": size("generated_code"),
        }
        return cls(**parts, total=sum(parts.values()))

    def text(self) -> str:
        """One line about it."""
        line = (
            f"{gigabytes(self.total)} on each device by the compiler: "
            f"{gigabytes(self.arguments)} given, {gigabytes(self.results)} returned beside it, "
            f"{gigabytes(self.temporaries)} in between"
        )
        if self.measured_peak is None:
            return line
        return f"{line}; {gigabytes(self.measured_peak)} at most, as the device has counted"


def gigabytes(size: float) -> str:
    """A number of bytes for a person: ``1.2 GB``, ``35.0 MB``, ``0.4 KB``."""
    unit, name = next((one for one in _UNITS if size >= one[0]), _UNITS[-1])
    return f"{size / unit:,.1f} {name}"


def compile_timed(
    lower: Callable[[], jax.stages.Lowered],
) -> tuple[jax.stages.Compiled, Compilation]:
    """Compiles a program.

    Args:
      lower: traces it.
    """
    hits = []

    def note(event: str, **_: object) -> None:
        if event == _CACHE_HIT:
            hits.append(event)

    start = time.perf_counter()
    lowered = lower()
    traced = time.perf_counter()
    jax.monitoring.register_event_listener(note)
    try:
        compiled = lowered.compile()
    finally:
        jax.monitoring.unregister_event_listener(note)
    return compiled, Compilation(traced - start, time.perf_counter() - traced, bool(hits))


def compiled_costs(compiled: jax.stages.Compiled) -> tuple[float | None, float | None]:
    """FLOPs and bytes accessed of one call on one device by the compiler; None if it tells not.

    It counts the body of a loop once, however often it runs.
    """
    costs = compiled.cost_analysis() or {}
    costs = costs[0] if isinstance(costs, list) else costs
    return costs.get("flops"), costs.get("bytes accessed")


def attention_backends(model: TimeSformer) -> dict[str, str]:
    """What computes each attention step of a model on its devices, by step.

    Raises:
      ConfigError: what is asked for cannot be had there.
    """
    found = step_backends(model, model.platform or jax.default_backend())
    refused = dict.fromkeys(str(name) for name in found.values() if isinstance(name, ValueError))
    if refused:
        raise ConfigError("\n".join(f"model.{reason}" for reason in refused))
    return found


def check_fits(memory: Memory, mesh: Mesh, cures: str) -> None:
    """Refuses a program that the devices of this process cannot hold, before it runs.

    Where processors stand in for devices, an operating system would end the process without a word.

    Raises:
      MachineError: it needs more than there is.
    """
    device = jax.local_devices()[0]
    limit, need, where = (device.memory_stats() or {}).get("bytes_limit"), memory.total, "a device"
    if limit is None:
        if device.platform != "cpu":
            return
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        need, where = memory.total * mesh.local_mesh.size, "this machine"
    if need > limit:
        raise MachineError(
            f"This needs {gigabytes(need)} of memory, {gigabytes(memory.temporaries)} a device of "
            f"it for what lies in between, and {where} has {gigabytes(limit)}. {cures}"
        )


@contextlib.contextmanager
def out_of_memory(cures: str) -> Iterator[None]:
    """Tells what to do where the devices' memory is too small.

    Raises:
      MachineError: it was.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        line = str(error).partition("\n")[0]
        raise MachineError(f"This does not fit in memory: {line}\n{cures}") from error
