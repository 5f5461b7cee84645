"""``python -m tests.evaluation.of_two_processes RESULT PORT INDEX``: one of two, of two devices."""

import json
import pathlib
import sys

import jax

from tests.evaluation import looked_up, ranked
from tests.sharding.meshes import mesh_of


def main():
    result, port, index = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(index))
    mesh = mesh_of(2, 2)
    # The same videos on both.
    shared = mesh_of(1, 1, 4)
    found = {
        "single": looked_up.judge(8, mesh).to_dict(),
        "multi": ranked.judge(8, mesh).to_dict(),
        "single, shared": looked_up.judge(8, shared).to_dict(),
        "multi, shared": ranked.judge(8, shared).to_dict(),
    }
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
