"""``python -m tests.sharding.of_two_processes RESULT PORT INDEX``: one of two, of four devices."""

import json
import pathlib
import sys

import jax
import numpy as np

from tests.sharding import steps
from tests.sharding.meshes import mesh_of, named
from vidtx.errors import ConfigError
from vidtx.sharding import place_batch, rows_of_process

MESHES = ((8, 1, 1, 1), (2, 4, 1, 1), (1, 2, 4, 1), (2, 1, 2, 2), (1, 1, 4, 2))
# Its axis sequence spans the processes, which share all clips.
TRAINED = (1, 1, 4, 2)
# As of hosts whose chips are a square of a torus: neighbours of a process are not the mesh's.
SCATTERED = (0, 1, 4, 5, 2, 3, 6, 7)


def fed(mesh):
    """Which rows this process feeds, and whether each device gets those that it should have."""
    blocks, count = rows_of_process(mesh)
    videos = np.random.RandomState(0).randint(0, 256, (16, 3), np.uint8)
    own = np.concatenate([np.split(videos, count)[block] for block in blocks])
    placed = place_batch({"video": own}, mesh)["video"]
    total = jax.jit(lambda x: x.astype(np.int32).sum(axis=0))(placed)
    return {
        "rows": [list(blocks), count],
        "shape": placed.shape,
        "equal": all(
            np.array_equal(shard.data, videos[shard.index]) for shard in placed.addressable_shards
        ),
        "total": np.array_equal(total, videos.astype(np.int32).sum(axis=0)),
    }


def losses(mesh):
    state = jax.device_get(steps.first_state(mesh_of(devices=jax.local_devices()[:1])))
    step, places = steps.step_of(mesh)
    state = steps.place_state(steps.lively(state), places)
    found = []
    for number in range(steps.STEPS):
        state = step(state, steps.placed(steps.batch(number), mesh))
        found.append(float(state.window.loss))
    return found


def refused():
    """What is said where a clip is of both processes, and others of one alone."""
    devices = jax.devices()[:3] + jax.devices()[4:7]
    try:
        rows_of_process(mesh_of(3, 1, 2, 1, devices=devices))
    except ConfigError as error:
        return str(error)


def main():
    result, port, index = sys.argv[1:]
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(index))
    scattered = mesh_of(8, devices=[jax.devices()[number] for number in SCATTERED])
    found = {
        "fed": {named(lengths): fed(mesh_of(*lengths)) for lengths in MESHES},
        "scattered": fed(scattered),
        "losses": losses(mesh_of(*TRAINED)),
        "refused": refused(),
    }
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
