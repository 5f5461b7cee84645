"""What attention costs on a TPU, by its compiler, with logits stored (xla) and without (splash).

    python -m benchmarks.attention
    python -m benchmarks.attention --topology=v6e:1x1 joint-448
    python -m benchmarks.attention --blocks

Compiles the gradient of one layer of the base model, bfloat16, for one chip that need not be there;
libtpu is needed. Prints for each backend the memory of intermediate results, the traffic with the
chip's main memory, and the compiler's estimate of cycles, to which the kernels' are added, of which
it has none: the length of their static schedules times the steps of their grids, without waiting
for memory. With ``--blocks``, the schedules alone, forward and backward, one step of blocks of each
size: what `vidtx.kernels.splash.block_size` weighs.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import flax.linen as nn
import jax
import jax.numpy as jnp

from vidtx.analysis.compiled import count_costs
from vidtx.analysis.hlo import read_program
from vidtx.analysis.topology import read_topology
from vidtx.kernels import Grouping, choose_backend, splash
from vidtx.models import create_model
from vidtx.models.schemes import get_scheme

# Scheme, frames, pixels of a side, clips of the chip.
CASES = {
    "joint-224": ("joint", 8, 224, 4),
    "joint-448": ("joint", 16, 448, 1),
    "space-448": ("space", 16, 448, 1),
    "local-global-224": ("sparse_local_global", 8, 224, 4),
}
HEADS, HEAD_DIM, PATCH = 12, 64, 16
_BUNDLES = re.compile(r"total scheduled bundles:\s+(\d+)")


def layer(topology: str, case: str, backend: str) -> dict[str, float]:
    """Compiles one layer; memory in bytes, what can be a clip a clip."""
    scheme, frames, side, clips = CASES[case]
    place = jax.sharding.SingleDeviceSharding(read_topology(topology).devices()[0])
    model = create_model(
        f"timesformer_b{PATCH}", scheme=scheme, num_frames=frames, image_size=side, depth=1,
        drop_path=0.0, dtype="bfloat16", attention=backend, platform="tpu",
    )  # fmt: skip
    video = jax.ShapeDtypeStruct((clips, frames, side, side, 3), jnp.float32, sharding=place)
    params = nn.unbox(
        jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros(video.shape), train=False))
    )["params"]
    params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), params)

    def loss(params, video):
        return model.apply({"params": params}, video, train=True).sum()

    begin = time.monotonic()
    compiled = jax.jit(jax.value_and_grad(loss)).lower(params, video).compile()
    seconds = time.monotonic() - begin
    costs = count_costs(read_program(compiled.as_text()), 1)
    return {
        "temp": compiled.memory_analysis().temp_size_in_bytes,
        "hbm": costs.hbm_bytes / clips,
        "cycles": costs.cycles / clips,
        "seconds": seconds,
    }


def kernel_cycles(topology: str, case: str) -> int:
    """Cycles of a clip's splash kernels in one layer, forward and backward."""
    scheme, frames, side, _ = CASES[case]
    found = get_scheme(scheme)
    lengths = []
    for step in found.steps:
        sizes = Grouping(step, (frames, side // PATCH, side // PATCH)).group_sizes
        tokens = max(sizes) + (step == found.vit_step)
        chosen = choose_backend(
            "splash", platform="tpu", tokens=tokens, head_dim=HEAD_DIM, dtype=jnp.bfloat16
        )
        lengths += [tokens] * len(sizes) if chosen == "splash" else []
    schedules = in_a_process(topology, sorted(set(lengths)))
    return sum(HEADS * schedules[tokens] for tokens in lengths)


def in_a_process(topology: str, lengths: list[int]) -> dict[int, int]:
    """Cycles of one head of one group by tokens; libtpu is told at its start to write schedules."""
    with tempfile.TemporaryDirectory() as folder:
        flags = f"--xla_jf_dump_to={folder} --xla_jf_dump_llo_text=true"
        process = subprocess.run(
            [sys.executable, "-m", __spec__.name, f"--topology={topology}",
             f"--schedules={folder}", *map(str, lengths)],
            env=os.environ | {"LIBTPU_INIT_ARGS": flags}, check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
    return {int(tokens): cycles for tokens, cycles in json.loads(process.stdout).items()}


def schedules(topology: str, folder: pathlib.Path, lengths: list[int]) -> dict[int, int]:
    """The same, in the process whose libtpu writes schedules to ``folder``."""
    place = jax.sharding.SingleDeviceSharding(read_topology(topology).devices()[0])
    found, seen = {}, set()
    for tokens in lengths:
        array = jax.ShapeDtypeStruct((1, 1, tokens, 1, HEAD_DIM), jnp.bfloat16, sharding=place)

        def step(query, key, value, given):
            output, pull = jax.vjp(splash.attend_groups, query, key, value)
            return output, pull(given)

        jax.jit(step).lower(array, array, array, array).compile()
        written = set(folder.glob("*splash*schedule-analysis_final_bundles.txt")) - seen
        seen |= written
        block = splash.block_size(tokens, head_dim=HEAD_DIM, dtype=jnp.bfloat16)
        steps = (-(-tokens // block)) ** 2
        bundles = (int(_BUNDLES.search(path.read_text())[1]) for path in written)
        found[tokens] = steps * sum(bundles)
    return found


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topology", default="v5e:1x1")
    parser.add_argument("--blocks", action="store_true", help="schedules of blocks of each size")
    parser.add_argument("--schedules", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all if none are named")
    options = parser.parse_args(arguments)
    jax.config.update("jax_enable_compilation_cache", False)
    if options.schedules:
        lengths = [int(tokens) for tokens in options.cases]
        print(json.dumps(schedules(options.topology, options.schedules, lengths)))
        return
    if options.blocks:
        sizes = list(range(splash.LANES, 1025, splash.LANES))
        print("| block | cycles of a step | cycles for 128 × 128 logits |\n| ---: | ---: | ---: |")
        for tokens, cycles in in_a_process(options.topology, sizes).items():
            print(f"| {tokens} | {cycles:,} | {cycles / (tokens / splash.LANES) ** 2:,.0f} |")
        return
    print("| case | clips | backend | memory, GB | traffic, GB a clip | Mcycles a clip | compile |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for case in options.cases or CASES:
        for backend in ("xla", "splash"):
            label = f"| {case} | {CASES[case][3]} | {backend} |"
            try:
                cost = layer(options.topology, case, backend)
            except jax.errors.JaxRuntimeError as error:
                used = re.search(r"Used \S+ of \S+ hbm", str(error))
                print(f"{label} {used[0] if used else str(error).splitlines()[0]} | | | |")
                continue
            cycles = cost["cycles"]
            cycles += kernel_cycles(options.topology, case) if backend == "splash" else 0
            print(
                f"{label} {cost['temp'] / 1e9:.2f} | {cost['hbm'] / 1e9:.2f} | {cycles / 1e6:.2f} "
                f"| {cost['seconds']:.0f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
