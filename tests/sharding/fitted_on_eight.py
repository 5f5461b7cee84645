"""``python -m tests.sharding.fitted_on_eight RESULT``: what is said of model, batch and mesh."""

import json
import pathlib
import sys

from tests.sharding.meshes import mesh_of
from tests.tiny_run import tiny_config
from vidtx.config import resolve
from vidtx.errors import ConfigError
from vidtx.run import problems
from vidtx.run.fit import state_lines
from vidtx.run.programs import Programs

# The tiny model is 32 wide and has 2 heads; its clips have 4 frames of 16 patches.
CASES = {
    "fits": {"mesh.fsdp": 2, "mesh.sequence": 2, "mesh.tensor": 2},
    "clips are shared": {"mesh.sequence": 4, "mesh.tensor": 2, "train.global_batch": 3},
    "uneven": {"mesh.sequence": 4, "data.frames": 6, "mesh.data": 2},
    "batch": {
        "mesh.sequence": 2, "train.global_batch": 20, "train.accumulate": 3, "train.mixup": 0.8,
    },
    "all at once": {
        "mesh.data": 1, "mesh.sequence": 8, "model.embed_dim": 30, "model.num_heads": 3,
        "train.global_batch": 0,
    },
    "heads": {"mesh.tensor": 8, "model.embed_dim": 34},
    "no positions": {"mesh.sequence": 8, "data.frames": 8, "data.image_size": (16, 16)},
    "joint has none": {
        "mesh.sequence": 8, "data.frames": 8, "data.image_size": (16, 16),
        "model.scheme": "joint",
    },
    "no mesh": {"mesh.data": 1, "mesh.fsdp": 5, "mesh.tensor": 3, "mesh.sequence": 40},
}  # fmt: skip


def told(options):
    """The problems of a specification."""
    try:
        resolve(tiny_config("data", **options), problems)
    except ConfigError as error:
        return [line.removeprefix("  - ") for line in str(error).splitlines()[1:]]
    return []


def lines(*lengths, **options):
    """What a summary says of the state of a run."""
    mesh = mesh_of(*lengths)
    programs = Programs.of(resolve(tiny_config("data", **options)), mesh, 3)
    return list(state_lines(programs.abstract, programs.model, mesh))


def main():
    wide = {"model.embed_dim": 768, "model.num_heads": 12, "model.depth": 2}
    found = {
        "problems": {name: told(options) for name, options in CASES.items()},
        "data": lines(8, **wide),
        "fsdp": lines(2, 4, **wide),
        "tensor": lines(2, 1, 1, 4, **wide),
        "uneven": lines(2, 1, 4, 1, **{"data.frames": 6}),
    }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
