"""``python -m tests.sharding.on_eight_devices RESULT SCHEME MESH…``: trains on each of them.

``MESH`` is as ``2x2x2x1``. With ``+`` behind it, all that is random is on, and the batch is taken
in two parts; with ``/4``, only the latter, in four.
"""

import json
import math
import pathlib
import re
import sys

import jax
import numpy as np

from tests.sharding import steps
from tests.sharding.meshes import mesh_of

# Of a program's text, what is communicated: shapes, then the operation.
_COLLECTIVE = re.compile(
    r"= (\(.*?\)|\S+) (all-gather|all-to-all|all-reduce|collective-permute|reduce-scatter)"
    r"(?:-start)?\("
)
_SHAPE = re.compile(r"(pred|[a-z]+)(\d*)\[([\d,]*)\]")


def collectives(program):
    """By kind, the shapes of what each gives."""
    found = {}
    for shapes, kind in _COLLECTIVE.findall(program):
        for dtype, bits, lengths in _SHAPE.findall(shapes):
            shape = [int(length) for length in lengths.split(",") if length]
            size = math.prod(shape) * (int(bits or 8) // 8)
            found.setdefault(kind, []).append([dtype + bits, shape, size])
    return found


def train(name, scheme, start):
    """Losses, weights and the program's communication, over some steps."""
    lengths, random, count = re.fullmatch(r"([\dx]+)(\+?)(?:/(\d))?", name).groups()
    mesh = mesh_of(*map(int, lengths.split("x")))
    options = {"random": bool(random), "accumulate": int(count or 1)}
    step, places = steps.step_of(mesh, scheme, **options)
    state = jax.device_put(start, places)
    lowered = step.lower(state, steps.placed(steps.batch(0), mesh))
    program = lowered.compile()
    losses = []
    for number in range(steps.STEPS):
        state = program(state, steps.placed(steps.batch(number), mesh))
        losses.append(float(state.window.loss))
    stays = jax.tree.map(lambda leaf, place: leaf.sharding == place, state, places)
    found = {
        "losses": losses,
        "window": {name: float(leaf) for name, leaf in vars(jax.device_get(state.window)).items()},
        "stays": all(jax.tree.leaves(stays)),
        "constraints": lowered.as_text().count("sdy.sharding_constraint"),
        "collectives": collectives(program.as_text()),
        "temporary": program.memory_analysis().temp_size_in_bytes,
    }
    return found, steps.host(state.params)


def main():
    result, scheme, *names = sys.argv[1:]
    jax.config.update("jax_default_matmul_precision", "highest")
    start = steps.lively(jax.device_get(steps.first_state(mesh_of(1), scheme)))
    found, references = {}, {}
    for name in names:
        suffix = "+" if name.endswith("+") else ""
        if suffix not in references:
            references[suffix] = train(f"1x1x1x1{suffix}", scheme, start)
        alone, reference = references[suffix]
        trained, weights = train(name, scheme, start)
        found[name] = trained | {
            "alone": alone["losses"],
            "alone_window": alone["window"],
            "error": steps.error(weights, reference),
            "moved": steps.error(reference, steps.host(start.params)),
        }
    found["parameters"] = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(start.params))
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
