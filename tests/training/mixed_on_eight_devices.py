"""``python -m tests.training.mixed_on_eight_devices RESULT``: what `test_mixing` looks at."""

import json
import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np

from tests.sharding.meshes import mesh_of
from vidtx.sharding import batch_sharding, replicated, use_mesh
from vidtx.training.mixing import draw_mix, mix_clips, mix_targets

COLLECTIVE = re.compile(
    r"(all-gather|all-to-all|all-reduce|collective-permute|collective-broadcast|reduce-scatter"
    r"|ragged-all-to-all)(?:-start)?\("
)


def mixed(number, clips, targets):
    key = jax.random.fold_in(jax.random.key(0), number)
    mix = draw_mix(key, len(clips), clips.shape[2:4], mixup=0.8, cutmix=1.0)
    return mix_clips(clips, mix), mix_targets(targets, mix)


def from_afar(number, clips, targets):
    """What must not happen: partners on other devices."""
    return jnp.roll(clips, len(clips) // 2, axis=0), targets


def compiled(function, shape, arguments):
    """The collectives of the compiled program, and what it gives."""
    mesh = mesh_of(*shape)
    rows = batch_sharding(mesh)
    places = (replicated(mesh), rows, rows)
    with use_mesh(mesh):
        program = jax.jit(function, in_shardings=places, out_shardings=rows)
        program = program.lower(*arguments).compile()
        results = program(*map(jax.device_put, arguments, places))
    return COLLECTIVE.findall(program.as_text()), jax.device_get(results)


def arguments(batch):
    clips = np.random.RandomState(0).random_sample((batch, 2, 8, 8, 3)).astype(np.float32)
    return np.int32(3), clips, np.eye(batch, dtype=np.float32)


def main(result):
    found = {"from_afar": {"collectives": compiled(from_afar, (8, 1), arguments(16))[0]}}
    # With 8 rows the two of a pair lie on different devices.
    for batch, meshes in ((8, ((8, 1),)), (16, ((8, 1), (2, 4), (2, 1, 2, 2)))):
        alone = jax.device_get(mixed(*arguments(batch)))
        for shape in meshes:
            collectives, results = compiled(mixed, shape, arguments(batch))
            found[f"{batch} rows on {shape}"] = {
                "collectives": collectives,
                "difference": max(
                    float(np.abs(a - b).max()) for a, b in zip(alone, results, strict=True)
                ),
                "changed": float(np.abs(results[0] - arguments(batch)[1]).max()),
            }
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
