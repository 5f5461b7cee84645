"""How fast a run's model judges clips on the devices that are here: the forward pass alone."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vidtx.config import RunSpec
from vidtx.errors import ConfigError, MachineError, VidtxError
from vidtx.models import TimeSformer, normalize
from vidtx.reporting import format_table
from vidtx.run.benchmark_program import (
    Compilation,
    Devices,
    Memory,
    attention_backends,
    check_fits,
    compile_timed,
    gigabytes,
    out_of_memory,
)
from vidtx.run.benchmark_results import milliseconds
from vidtx.run.benchmark_rounds import Timing, time_in_turns
from vidtx.run.programs import Programs
from vidtx.run.setup import model_of
from vidtx.sharding import (
    Pace,
    batch_parts,
    batch_sharding,
    make_mesh,
    place_batch,
    processes,
    rows_of_process,
    use_mesh,
)
from vidtx.training import boxed_params

__all__ = ["BatchBenchmark", "InferenceBenchmark", "Latency", "benchmark_inference"]

_BATCHES = (1, 8, 32)
_MOST_SAMPLES = 1000
_CURES = (
    "What lowers it: smaller numbers of --batch, model.dtype=bfloat16, model.attention=auto, or "
    "more devices along mesh.sequence."
)


@dataclasses.dataclass(frozen=True)
class Latency:
    """Seconds from clips in the memory of the host to their scores there, one batch at a time.

    Attributes:
      median: half of the batches take less.
      p95: 95 of a hundred take less.
      samples: batches that were timed.
    """

    median: float
    p95: float
    samples: int


@dataclasses.dataclass(frozen=True)
class BatchBenchmark:
    """What inference costs at one batch size.

    Attributes:
      batch: clips that are judged at once, over all devices.
      compilation: of the program.
      latency: of a batch.
      timing: of a batch that lies on the devices, with the next ones queued behind it, by round.
      clips_per_second: of the median of these.
      videos_per_second: the same, of videos over all their views.
      memory: on one device.
    """

    batch: int
    compilation: Compilation
    latency: Latency
    timing: Timing
    clips_per_second: float
    videos_per_second: float
    memory: Memory


@dataclasses.dataclass(frozen=True)
class InferenceBenchmark:
    """What inference costs, by batch size.

    Attributes:
      run: name of the config.
      devices: it ran on.
      clip: (frames, height, width) of a clip.
      dtype: of the computation.
      attention: what computes each attention step, by step.
      views: clips of a video; with ``eval.temporal_position=cover`` the most of them.
      batches: what was measured.
      refused: reasons, by batch size, of those that cannot run here.
    """

    run: str
    devices: Devices
    clip: tuple[int, int, int]
    dtype: str
    attention: dict[str, str]
    views: int
    batches: tuple[BatchBenchmark, ...]
    refused: dict[int, str]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Tables for a person."""
        frames, height, width = self.clip
        backends = ", ".join(f"{step}: {name}" for step, name in self.attention.items())
        headers = ("clips at once", "latency", "95 of 100 below", "clips/s", "videos/s")
        rows = [
            (
                one.batch,
                milliseconds(one.latency.median),
                milliseconds(one.latency.p95),
                f"{one.clips_per_second:.4g}",
                f"{one.videos_per_second:.4g}",
                gigabytes(one.memory.total),
                f"{one.compilation.compile_seconds:.1f} s",
            )
            for one in self.batches
        ]
        lines = [
            f"inference of {self.run}: clips of {frames}×{height}×{width}, {self.dtype}, "
            f"{self.views} of them a video",
            f"devices: {self.devices.text()}; attention: {backends}",
            format_table(rows, (*headers, "memory", "compiling")),
            "Latency is from clips in the memory of the host to their scores there; clips/s is of "
            "batches that lie on the devices already.",
            *(f"--batch={batch} cannot run here: {why}" for batch, why in self.refused.items()),
            self.devices.caution(),
        ]
        return "\n".join(filter(None, lines))


def benchmark_inference(
    spec: RunSpec,
    num_classes: int,
    *,
    batches: Sequence[int] | None = None,
    seconds: float = 30.0,
    note: Callable[[str], None] = lambda text: None,
) -> InferenceBenchmark:
    """Measures the forward pass of a run's model, by batch size.

    Args:
      spec: the run, without problems.
      num_classes: of its data set, which need not be there.
      batches: clips that are judged at once; 1, 8 and 32 for each part of the mesh by default.
      seconds: for timing all of them, once each is compiled and has run for the first time.
      note: is told what is being done.

    Raises:
      ConfigError: what the run asks for cannot be had on these devices, or no batch size can.
      MachineError: none fits in their memory.
    """
    mesh = make_mesh(spec.mesh)
    parts = batch_parts(mesh)
    model = model_of(spec, num_classes, platform=mesh.devices.flat[0].platform)
    backends = attention_backends(model)
    views = spec.eval.temporal_views * spec.eval.spatial_crops
    batches = tuple(batches or (parts * batch for batch in _BATCHES))
    found, refused = [], {}
    shardings = jax.tree.map(
        lambda leaf: leaf.sharding, Programs.of(spec, mesh, num_classes).abstract.params
    )
    with use_mesh(mesh), out_of_memory(_CURES):
        make = jax.jit(lambda: nn.unbox(boxed_params(model, spec.seed)), out_shardings=shardings)
        params = make()
    for batch in batches:
        note(f"{batch} clips at once")
        try:
            if batch % parts:
                raise ConfigError(
                    f"it must be a multiple of the {parts} parts that the mesh splits a batch into."
                )
            with out_of_memory(_CURES):
                forward = _Forward(spec, model, mesh, params, batch)
                found.append(forward.measure(seconds / len(batches), views))
        except VidtxError as error:
            refused[batch] = error
    if not found:
        machine = any(isinstance(error, MachineError) for error in refused.values())
        reasons = "\n".join(f"  - {batch}: {error}" for batch, error in refused.items())
        raise (MachineError if machine else ConfigError)(
            f"No --batch of {', '.join(map(str, batches))} can run here:\n{reasons}"
        )
    return InferenceBenchmark(
        run=spec.name,
        devices=Devices.of(mesh),
        clip=(spec.data.frames, *spec.data.image_size),
        dtype=spec.model.dtype,
        attention=backends,
        views=views,
        batches=tuple(found),
        refused={batch: str(error) for batch, error in refused.items()},
    )


class _Forward:
    """The compiled forward pass of one batch size, from uint8 clips to logits."""

    def __init__(self, spec: RunSpec, model: TimeSformer, mesh: Mesh, params: dict, batch: int):
        data, place = spec.data, batch_sharding(mesh)
        self._mesh, self._params, self._batch = mesh, params, batch
        shape = (batch, data.frames, *data.image_size, 3)

        def forward(params: dict, clips: jax.Array) -> jax.Array:
            clips = normalize(clips, data.mean, data.std, data.channel_order)
            return model.apply({"params": params}, clips)

        def lower() -> jax.stages.Lowered:
            clips = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=place)
            with use_mesh(mesh):
                return jax.jit(forward, out_shardings=place).lower(params, clips)

        self._compiled, self._compilation = compile_timed(lower)
        self._memory = Memory.of(self._compiled)
        check_fits(self._memory, mesh, _CURES)
        blocks, count = rows_of_process(mesh)
        random = np.random.default_rng(spec.seed)
        rows = batch * len(blocks) // count
        self._rows = random.integers(256, size=(rows, *shape[1:]), dtype=np.uint8)

    def measure(self, seconds: float, views: int) -> BatchBenchmark:
        """Times batches one at a time, then one queued behind the other, half of the time each."""
        self._judge()  # what comes first is loaded
        latencies, end = [], time.perf_counter() + seconds / 2

        def enough() -> bool:
            return bool(latencies) and time.perf_counter() > end

        # All processes of a job judge the same batches.
        while len(latencies) < _MOST_SAMPLES and not processes.on_lead(enough):
            start = time.perf_counter()
            self._judge()
            latencies.append(time.perf_counter() - start)
        median, p95 = np.quantile(latencies, (0.5, 0.95)).tolist()
        self._clips = self._place()
        (timing,) = time_in_turns([self], [median], seconds / 2)
        rate = self._batch / timing.seconds.median
        return BatchBenchmark(
            batch=self._batch,
            compilation=self._compilation,
            latency=Latency(median, p95, len(latencies)),
            timing=timing,
            clips_per_second=rate,
            videos_per_second=rate / views,
            memory=self._memory,
        )

    def _place(self) -> jax.Array:
        return place_batch({"video": self._rows}, self._mesh)["video"]

    def _judge(self) -> None:
        """Judges a batch from host to host: this process's rows of it."""
        scores = self._compiled(self._params, self._place())
        for shard in scores.addressable_shards:
            np.asarray(shard.data)

    def get_ready(self) -> None:
        """Nothing: no other program runs in between."""

    def run(self, steps: int) -> None:
        """Judges the same clips so many times, as far ahead of the devices as evaluation does."""
        pace = Pace()
        for _ in range(steps):
            pace.wait()
            scores = self._compiled(self._params, self._clips)
            pace.begun(scores)
        jax.block_until_ready(scores)
