"""``python -m tests.sharding.of_two_processes RESULT PORT INDEX``: one of two, of two devices."""

import json
import pathlib
import sys

import jax
import numpy as np

from tests.sharding.on_eight_devices import mesh_of
from vidtx.sharding import place_batch, rows_of_process


def main():
    result, port, index = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(index))
    videos = np.random.RandomState(0).randint(0, 256, (8, 3), np.uint8)
    found = {}
    for data, fsdp in ((4, 1), (2, 2), (1, 4)):
        mesh = mesh_of(data, fsdp)
        block, count = rows_of_process(mesh, 8)
        rows = len(videos) // count
        placed = place_batch({"video": videos[block * rows : (block + 1) * rows]}, mesh)["video"]
        total = jax.jit(lambda x: x.astype(np.int32).sum(axis=0))(placed)
        found[f"{data},{fsdp}"] = {
            "rows": [block, count],
            "shape": placed.shape,
            "equal": all(
                np.array_equal(shard.data, videos[shard.index])
                for shard in placed.addressable_shards
            ),
            "total": np.array_equal(total, videos.astype(np.int32).sum(axis=0)),
        }
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
