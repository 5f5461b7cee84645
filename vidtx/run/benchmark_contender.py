"""A train step that is compiled and ready to be timed, beside others of the same devices."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vidtx.analysis import count_macs, utilisation
from vidtx.config import RunSpec
from vidtx.run.benchmark_program import (
    Devices,
    Memory,
    attention_backends,
    check_fits,
    compile_timed,
    compiled_costs,
    out_of_memory,
)
from vidtx.run.benchmark_results import StepBenchmark
from vidtx.run.benchmark_rounds import Timing
from vidtx.run.programs import Programs
from vidtx.run.setup import averages, model_of
from vidtx.sharding import (
    Pace,
    done_mark,
    make_mesh,
    place_batch,
    processes,
    rows_of_process,
)
from vidtx.training import TrainState, init_state

__all__ = ["States", "StepContender"]

_PLACINGS = 3
# Where a step lasts longer than this, seconds, what another program left in caches is nothing.
_WARM_UP_BELOW = 1.0


class States:
    """Train states that contenders share: one on the devices for all that have the same shapes."""

    def __init__(self):
        """Begins without any."""
        self._kept: dict[Any, TrainState] = {}
        self.user: object = None

    def take(self, key: Any) -> TrainState | None:
        """A state, which is no longer kept, as a step takes its memory."""
        return self._kept.pop(key, None)

    def steps(self, key: Any) -> int:
        """How many steps a kept state is from its beginning."""
        return int(self._kept[key].step)

    def give_back(self, key: Any, state: TrainState) -> None:
        """Keeps a state."""
        self._kept[key] = state


class StepContender:
    """A compiled train step that has run once, and can be timed."""

    def __init__(
        self, spec: RunSpec, num_classes: int, states: States, note: Callable[[str], None]
    ):
        """Compiles the step and takes the first.

        Args:
          spec: the run, without problems.
          num_classes: of its data set.
          states: shared by the contenders of one comparison.
          note: is told what is being done.

        Raises:
          ConfigError: what the run asks for cannot be had on these devices.
          MachineError: it does not fit in their memory.
        """
        self._spec, self._states = spec, states
        self._mesh = make_mesh(spec.mesh)
        self._cures = _cures(spec, self._mesh.size)
        platform = self._mesh.devices.flat[0].platform
        self._backends = attention_backends(model_of(spec, num_classes, platform=platform))
        self._programs = Programs.of(spec, self._mesh, num_classes)
        self._shardings = jax.tree.map(lambda leaf: leaf.sharding, self._programs.abstract)
        leaves, tree = jax.tree.flatten(self._programs.abstract)
        self._key = (tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves))
        with out_of_memory(self._cures):
            self._compile(note)
            self._rows = self._noise()
            note("first step")
            self._first_steps()

    def _compile(self, note: Callable[[str], None]) -> None:
        note("compiling")
        self._compiled, self._compilation = compile_timed(self._programs.lower_train)
        self._memory = Memory.of(self._compiled)
        check_fits(self._memory, self._mesh, self._cures)

    def _noise(self) -> dict[str, np.ndarray]:
        """This process's rows of a batch, as the loader would make them; what is seen is noise."""
        blocks, count = rows_of_process(self._mesh)
        random = np.random.default_rng(self._spec.seed)
        highest = {"video": 256, "label": self._programs.model.num_classes, "labels": 2}
        rows = {}
        for name, leaf in self._programs.train_batch.items():
            shape = (leaf.shape[0] * len(blocks) // count, *leaf.shape[1:])
            rows[name] = random.integers(highest.get(name, 1), size=shape, dtype=leaf.dtype)
        return rows

    def _first_steps(self) -> None:
        self._place_seconds = float(np.median([self._place() for _ in range(_PLACINGS)]))
        before = _peak()
        self._take_state()
        taken = self._timed(1)
        # Decides what is done next, which must be the same for all processes of a job.
        self.first_step_seconds = processes.on_lead(lambda: taken)
        peak = _peak()
        if peak is not None and peak > (before or 0):
            self._memory = dataclasses.replace(self._memory, measured_peak=peak)

    def _place(self) -> float:
        """Places the batch; returns the seconds until it is there."""
        start = time.perf_counter()
        self._batch = place_batch(self._rows, self._mesh)
        jax.block_until_ready(self._batch)
        return time.perf_counter() - start

    def _take_state(self) -> None:
        state = self._states.take(self._key)
        if state is None:
            parts = self._programs
            state = init_state(
                parts.model,
                parts.optimizer,
                self._spec.seed,
                self._mesh,
                averaged=averages(self._spec),
            )
            done_mark(state.step)  # compiled here, as it is no part of a first step
        self._states.give_back(self._key, jax.device_put(state, self._shardings))
        self._states.user = self

    def _timed(self, steps: int) -> float:
        start = time.perf_counter()
        self.run(steps)
        return time.perf_counter() - start

    def estimate(self) -> float:
        """About how many seconds a step takes."""
        self.get_ready()
        return self._timed(1)

    def get_ready(self) -> None:
        """Takes over the state from whoever ran before, and warms up."""
        if self._states.user is self:
            return
        self._take_state()
        if self.first_step_seconds < _WARM_UP_BELOW:
            self.run(1)

    def run(self, steps: int) -> None:
        """Trains so many steps, as far ahead of the devices as the loop of a run does."""
        state, pace = self._states.take(self._key), Pace()
        for _ in range(steps):
            pace.wait()
            state = self._compiled(state, self._batch)
            pace.begun(done_mark(state.step))
        jax.block_until_ready(state)
        self._states.give_back(self._key, state)

    def result(self, timing: Timing) -> StepBenchmark:
        """What was found out, with the timing of its steps."""
        spec, model, devices = self._spec, self._programs.model, self._mesh.size
        rate = spec.train.global_batch / timing.seconds.median
        macs = count_macs(model).total
        flops, accessed = compiled_costs(self._compiled)
        return StepBenchmark(
            run=spec.name,
            devices=Devices.of(self._mesh),
            global_batch=spec.train.global_batch,
            clip=(spec.data.frames, *spec.data.image_size),
            dtype=spec.model.dtype,
            attention=self._backends,
            compilation=self._compilation,
            first_step_seconds=self.first_step_seconds,
            timing=timing,
            steps_taken=self._states.steps(self._key),
            place_seconds=self._place_seconds,
            clips_per_second=rate,
            clips_per_second_per_device=rate / devices,
            gmacs=macs / 1e9,
            model_tflops_per_second=3 * 2 * macs * rate / devices / 1e12,
            mfu=utilisation(model, self._mesh.devices.flat[0], rate / devices),
            memory=self._memory,
            compiler_flops=flops,
            compiler_bytes=accessed,
            loops=spec.model.scan_layers or spec.train.accumulate > 1,
        )


def _peak() -> int | None:
    return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def _cures(spec: RunSpec, devices: int) -> str:
    """What would lower the memory of a train step."""
    model, train = spec.model, spec.train
    found = [f"train.global_batch below {train.global_batch}"]
    found += [f"train.accumulate above {train.accumulate}"]
    found += ["model.dtype=bfloat16"] if model.dtype == "float32" else []
    found += ["model.remat=products"] if model.remat == "none" else []
    found += ["model.remat=full"] if model.remat != "full" else []
    found += ["model.attention=auto"] if model.attention == "xla" else []
    if devices > 1:
        found += [f"mesh.fsdp above {spec.mesh.fsdp}", f"mesh.sequence above {spec.mesh.sequence}"]
    else:
        found += ["more devices"]
    return f"What lowers it: {', '.join(found)}."
