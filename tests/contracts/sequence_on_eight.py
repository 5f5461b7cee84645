"""``python -m tests.contracts.sequence_on_eight RESULT [every]``: what `test_sequence` looks at.

Every batch has a multiple of seven rows on each device, and no weight a multiple of seven elements:
so an array is an activation if it has.
"""

import json
import pathlib
import re
import sys

import jax
import numpy as np

from tests import tiny_run
from tests.contracts.collectives import collectives
from tests.models import tiny
from vidtx.config import MeshSpec, resolve
from vidtx.run.programs import Programs
from vidtx.sharding import batch_sharding, make_mesh, use_mesh

BATCH, DROP_PATH = 14, 0.3
EVEN, UNEVEN = (8, 2, 4), (3, 3, 3)
# All that splits a clip at once, and nothing divides: 3 frames, 9 positions, 27 tokens by 2.
ALL = {"fsdp": 2, "sequence": 2, "tensor": 2}
# By name: lengths of the mesh's axes, and the token grid.
MESHES = {
    "sequence 2": ({"sequence": 2}, EVEN),
    "sequence 4": ({"sequence": 4}, EVEN),
    "sequence 4, uneven": ({"sequence": 4}, UNEVEN),
    "tensor 2": ({"tensor": 2}, EVEN),
    "sequence 2, tensor 2": ({"sequence": 2, "tensor": 2}, EVEN),
    "fsdp 2, sequence 2": ({"fsdp": 2, "sequence": 2}, EVEN),
}
# Schemes with the attention kernel, and their grids: 128 tokens a group are its least. Groups that
# do not divide, and queries that do not.
KERNELS = {"space": (3, 8, 16), "joint": (3, 5, 9)}
# Of the train step: sixteen positions of eight frames, by four.
DEPTH, FRAMES, POSITIONS, DIM, ROWS = 2, 8, 16, 32, 28
STEPS = {
    "data 2": {"data": 2, "sequence": 4},
    "fsdp 2": {"data": 1, "fsdp": 2, "sequence": 4},
}


def mesh_of(**lengths):
    spec = MeshSpec(**{"data": 1} | lengths)
    return make_mesh(spec, jax.devices()[: int(np.prod(list(lengths.values())))])


def compiled(lowered):
    return lowered.compile(compiler_options=tiny.COMPILER_OPTIONS)


def train_step(lengths):
    """Collectives of the train step of divided attention, and where it places its activations."""
    options = {
        "model.scheme": "divided", "model.depth": DEPTH, "model.embed_dim": DIM,
        "model.num_heads": 2, "data.frames": FRAMES, "data.image_size": (32, 32),
        "data.short_side": (32, 32), "train.global_batch": ROWS, "optimizer.name": "sgd",
        "optimizer.clip_norm": None,
    }  # fmt: skip
    spec = resolve(tiny_run.tiny_config("data", **options))
    lowered = Programs.of(spec, mesh_of(**lengths), num_classes=3).lower_train()
    placed = re.findall(r"sdy\.sharding_constraint .*<@mesh, (\[.*?\])> : (\S+)", lowered.as_text())
    return {"placed": placed, "collectives": collectives(compiled(lowered).as_text())}


def gradients_of(model, train):
    """Gradients of a weighted sum of the logits by the weights, and the logits."""

    def loss(params, clips, key):
        rngs = {"dropout": key} if train else {}
        logits = model.apply({"params": params}, clips, train=train, rngs=rngs)
        return (logits * tiny.uniform("d_logits", logits.shape, 1.0)).sum(), logits

    return jax.jit(jax.grad(loss, has_aux=True))


def run(scheme, grid, lengths=None, **options):
    """``{path: array}`` of gradients and logits, and collectives; on a mesh if it has lengths."""
    model = tiny.create(scheme, grid, **options)
    params, clips = tiny.weights(scheme, grid), tiny.clips(grid, BATCH)
    mesh = mesh_of(**lengths or {"data": 1})
    with use_mesh(mesh):
        clips = jax.device_put(clips, batch_sharding(mesh))
        arguments = params, clips, jax.random.key(0)
        program = compiled(gradients_of(model, train=model.drop_path > 0).lower(*arguments))
        gradients, logits = program(*arguments)
    values = tiny.flat(jax.device_get(gradients)) | {"logits": np.asarray(logits)}
    return values, collectives(program.as_text())


def reference(scheme, grid):
    """What `run` should give without drop path, from the reference in NumPy."""
    params, clips = tiny.weights(scheme, grid), tiny.clips(grid, BATCH)
    logits, backward = tiny.reference(scheme, params, clips, grid=grid)
    gradients, _ = backward(tiny.float64(tiny.uniform("d_logits", logits.shape, 1.0)))
    return tiny.flat(gradients) | {"logits": logits}


def error(found, wanted):
    """The largest difference, relative to the largest entry of its own leaf, and where it is."""
    assert found.keys() == wanted.keys()
    return max(
        (float(np.abs(found[name] - right).max() / np.abs(right).max()), name)
        for name, right in wanted.items()
    )


def all_at_once():
    """By scheme: how far the mesh is from the reference, and what its devices say."""
    found = {}
    for scheme in tiny.SCHEMES:
        values, said = run(scheme, UNEVEN, ALL, scan_layers=True)
        found[scheme] = {"error": error(values, reference(scheme, UNEVEN)), "collectives": said}
    return found


def every_mesh():
    """By scheme and mesh: how far it is from one device, with paths dropped."""
    found = {}
    for scheme in tiny.SCHEMES:
        alone = {grid: run(scheme, grid, drop_path=DROP_PATH)[0] for grid in (EVEN, UNEVEN)}
        for name, (lengths, grid) in MESHES.items():
            values, _ = run(scheme, grid, lengths, drop_path=DROP_PATH)
            found[f"{scheme}: {name}"] = error(values, alone[grid])
    for scheme, grid in KERNELS.items():
        alone = run(scheme, grid)[0]
        for lengths in (ALL, {"data": 1}):
            values = run(scheme, grid, lengths, attention="splash", remat="products")[0]
            found[f"{scheme} with splash, {lengths}"] = error(values, alone)
    return found


def main():
    jax.config.update("jax_default_matmul_precision", "highest")
    if sys.argv[2:] == ["every"]:
        result = every_mesh()
    else:
        steps = {name: train_step(lengths) for name, lengths in STEPS.items()}
        result = {"steps": steps, "all": all_at_once()}
    pathlib.Path(sys.argv[1]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
