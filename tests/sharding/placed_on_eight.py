"""``python -m tests.sharding.placed_on_eight RESULT``: what lies where on eight devices."""

import dataclasses
import json
import pathlib
import sys

import jax
import numpy as np

from tests.sharding import steps
from tests.sharding.meshes import ALL, mesh_of, named
from vidtx.errors import ConfigError
from vidtx.models import SCHEMES
from vidtx.sharding import bytes_per_device, left_whole, place_batch, rows_of_process

ASKED = (
    (-1, 1, 1, 1), (-1, 2, 1, 2), (2, -1, 1, 1), (1, 1, -1, 2), (1, 2, 2, -1), (8, 1, 1, 1),
    (2, 1, 2, 2), (3, -1, 1, 1), (2, 2, 1, 1), (9, 1, 1, 1), (-1, 3, 1, 1),
)  # fmt: skip
SPLIT = (2, 2, 1, 2)


def shapes():
    """Lengths of the axes, or the message, by what was asked for."""
    found = {}
    for lengths in ASKED:
        try:
            mesh = mesh_of(*lengths, devices=jax.devices())
            found[named(lengths)] = list(mesh.shape.values())
        except ConfigError as error:
            found[named(lengths)] = str(error)
    return found


def weights():
    """By scheme and leaf of the state: shape, and the axis that each dimension is split over."""
    mesh = mesh_of(*SPLIT)
    return {
        scheme: {
            name: [leaf.shape, [*leaf.sharding.spec, *[None] * leaf.ndim][: leaf.ndim]]
            for name, leaf in steps.flat(steps.parts(mesh, scheme)[-1]).items()
        }
        for scheme in SCHEMES
    }


def held(state, mesh):
    """By leaf: size, sizes of its parts, number of devices, whether it lies where it should."""
    abstract = steps.flat(steps.parts(mesh)[-1])
    return {
        name: [
            leaf.size,
            sorted({shard.data.size for shard in leaf.addressable_shards}),
            len(leaf.addressable_shards),
            leaf.sharding == abstract[name].sharding,
        ]
        for name, leaf in steps.flat(state).items()
    }


def placed():
    """Where the rows of a batch lie, and whether each device holds those that it should."""
    found = {}
    for lengths in ALL:
        mesh = mesh_of(*lengths)
        rows = steps.batch(0, rows=16)
        videos = place_batch(rows, mesh)["video"]
        found[named(lengths)] = {
            "rows_of_process": rows_of_process(mesh),
            "starts": sorted(shard.index[0].start or 0 for shard in videos.addressable_shards),
            "equal": all(
                np.array_equal(shard.data, rows["video"][shard.index])
                for shard in videos.addressable_shards
            ),
        }
    return found


def memory(state):
    """Bytes on each device, as they are and as they are foretold."""
    on = dict.fromkeys(range(8), 0)
    for leaf in jax.tree.leaves(state):
        for shard in leaf.addressable_shards:
            on[shard.device.id] += shard.data.nbytes
    return sorted(set(on.values())), bytes_per_device(state)


def whole(*lengths, **options):
    """What the start-up check finds on a mesh."""
    mesh = mesh_of(*lengths)
    params = steps.parts(mesh)[-1].params
    return [
        dataclasses.asdict(one) | {"line": str(one)} for one in left_whole(params, mesh, **options)
    ]


def compilations():
    """How often the step is compiled, over some steps."""
    mesh = mesh_of(*SPLIT)
    state = steps.first_state(mesh)
    step, _ = steps.step_of(mesh)
    times, counts = [], []

    def note(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            times.append(duration)

    batches = [steps.placed(steps.batch(number), mesh) for number in range(steps.STEPS)]
    jax.monitoring.register_event_duration_secs_listener(note)
    for rows in batches:
        times.clear()
        state = step(state, rows)
        counts.append(len(times))
    jax.monitoring.unregister_event_duration_listener(note)
    return counts


def main():
    one, mesh = mesh_of(), mesh_of(*SPLIT)
    first, of_one = steps.first_state(mesh), steps.first_state(one)
    found = {
        "shapes": shapes(),
        "weights": weights(),
        "held": held(first, mesh),
        "memory": memory(first),
        "first_error": steps.error(steps.host(first.params), steps.host(of_one.params)),
        "placed": placed(),
        "whole": {
            "data": whole(8, at_least=1),
            "fsdp": whole(2, 4, at_least=1),
            "tensor": whole(2, 1, 1, 4, at_least=1),
            "large": whole(2, 1, 1, 4, at_least=1000),
            "default": whole(2, 1, 1, 4),
        },
        "compilations": compilations(),
    }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
