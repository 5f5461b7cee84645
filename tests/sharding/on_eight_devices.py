"""``python -m tests.sharding.on_eight_devices RESULT``: what `test_mesh` looks at, as JSON."""

import dataclasses
import functools
import json
import pathlib
import re
import sys
import tempfile

import jax
import numpy as np

from tests import tiny_run
from vidtx import create_model
from vidtx.config import MeshSpec, resolve
from vidtx.errors import ConfigError
from vidtx.models import SCHEMES
from vidtx.sharding import make_mesh, place_batch, rows_of_process
from vidtx.training import (
    abstract_state,
    boxed_params,
    init_state,
    make_optimizer,
    make_train_step,
)

MESHES = ((8, 1), (4, 2), (2, 4), (1, 8))
ON_TWO = ((2, 1), (1, 2))  # on the first two devices alone
ROWS = 32  # pairs of clips in two parts on each of eight devices
STEPS = 3


def mesh_of(data, fsdp):
    """A mesh whose other axes, if there are any, have length 1."""
    lengths = dict.fromkeys((field.name for field in dataclasses.fields(MeshSpec)), 1)
    return make_mesh(MeshSpec(**lengths | {"data": data, "fsdp": fsdp}))


def small_mesh(full, data=1, fsdp=1):
    """The same axes on the first devices alone."""
    lengths = dict.fromkeys(full.axis_names, 1) | {"data": data, "fsdp": fsdp}
    return jax.make_mesh(
        tuple(lengths.values()), full.axis_names, axis_types=full.axis_types,
        devices=jax.devices()[: data * fsdp],
    )  # fmt: skip


def shapes():
    """Lengths of the first two axes, or the message, by what was asked for."""
    found = {}
    for data, fsdp in ((-1, 1), (-1, 2), (2, -1), (1, -1), (8, 1), (2, 4), (3, -1), (2, 2), (9, 1)):
        try:
            mesh = mesh_of(data, fsdp)
            found[f"{data},{fsdp}"] = [mesh.shape["data"], mesh.shape["fsdp"], mesh.size]
        except ConfigError as error:
            found[f"{data},{fsdp}"] = str(error)
    return found


@functools.cache
def make_parts(mesh, scheme="divided"):
    # SGD: Adam divides rounding by the root of rounding where gradients are almost zero. All that
    # is random is on, as the draws must not depend on the mesh either.
    options = {
        "optimizer.name": "sgd", "optimizer.schedule": "constant", "optimizer.warmup_steps": 0,
        "optimizer.learning_rate": 0.1, "data.flip": True, "optimizer.clip_norm": None,
        "train.mixup": 0.8, "train.cutmix": 1.0, "train.accumulate": 2, "data.image_size": (8, 8),
        "data.short_side": (8, 8), "train.global_batch": ROWS,
    }  # fmt: skip
    spec = resolve(tiny_run.tiny_config("data", **options))
    model = create_model(
        "timesformer_ti4", scheme=scheme, num_classes=3, num_frames=2, image_size=8, embed_dim=16,
        depth=2, num_heads=2, drop_path=0.3,
    )  # fmt: skip
    params = jax.eval_shape(lambda: boxed_params(model))
    optimizer = make_optimizer(spec.optimizer, lambda step: 0.1, params)
    return spec, model, optimizer, abstract_state(model, optimizer, mesh)


def flat(tree):
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def weights():
    """By scheme and weight: shape, and the axis that each dimension is split over."""
    mesh = mesh_of(2, 4)
    return {
        scheme: {
            name: [leaf.shape, [*leaf.sharding.spec, *[None] * leaf.ndim][: leaf.ndim]]
            for name, leaf in flat(make_parts(mesh, scheme)[-1]).items()
        }
        for scheme in SCHEMES
    }


def first_state(mesh):
    spec, model, optimizer, _ = make_parts(mesh)
    return init_state(model, optimizer, spec.seed, mesh)


def held(state, mesh):
    """By leaf: size, sizes of its parts, number of devices, whether it lies where it should."""
    abstract = flat(make_parts(mesh)[-1])
    return {
        name: [
            leaf.size,
            sorted({shard.data.size for shard in leaf.addressable_shards}),
            len(leaf.addressable_shards),
            leaf.sharding == abstract[name].sharding,
        ]
        for name, leaf in flat(state).items()
    }


def batch(number, rows=ROWS):
    random = np.random.RandomState(number)
    return {
        "video": random.randint(0, 256, (rows, 2, 8, 8, 3), np.uint8),
        "label": random.randint(0, 3, rows, np.int32),
        "index": random.randint(0, 99, rows).astype(np.uint32),
        "replaced": np.zeros(rows, np.int32),
    }


def placed():
    """Where the rows of a batch lie, and whether each device holds those it should."""
    found = {}
    for data, fsdp in MESHES:
        mesh = mesh_of(data, fsdp)
        rows = batch(0, rows=16)
        videos = place_batch(rows, mesh)["video"]
        found[f"{data},{fsdp}"] = {
            "rows_of_process": rows_of_process(mesh, 16),
            "starts": sorted(shard.index[0].start or 0 for shard in videos.addressable_shards),
            "equal": all(
                np.array_equal(shard.data, rows["video"][shard.index])
                for shard in videos.addressable_shards
            ),
        }
    return found


def steps(first, mesh):
    """Losses, weights, and how often the step is compiled, over three steps."""
    spec, model, optimizer, abstract = make_parts(mesh)
    state = jax.device_put(first, jax.tree.map(lambda leaf: leaf.sharding, abstract))
    step = make_train_step(spec, model, optimizer, mesh, abstract)
    compilations = []

    def note(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(duration)

    jax.monitoring.register_event_duration_secs_listener(note)
    losses, counts = [], []
    for number in range(STEPS):
        rows = place_batch(batch(number), mesh)
        compilations.clear()
        state = step(state, rows)
        counts.append(len(compilations))
        losses.append(float(state.window.loss))
    jax.monitoring.unregister_event_duration_listener(note)
    found = {
        "losses": losses,
        "compilations": counts,
        "stays": all(place for *_, place in held(state, mesh).values()),
    }
    return found, host(state.params)


def host(tree):
    return {name: np.asarray(leaf) for name, leaf in flat(jax.device_get(tree)).items()}


def error(found, reference):
    """The largest difference, relative to the size of the whole weight."""
    return max(
        float(np.abs(found[name] - right).max() / (np.abs(right).max() + 1e-30))
        for name, right in reference.items()
    )


def constraints(folder):
    """Sharding constraints in the program of the step, as it is handed to the compiler."""
    (program,) = pathlib.Path(folder).glob("*jit_train_step*compile*.mlir")
    return len(re.findall(r"sdy\.sharding_constraint|@Sharding\(", program.read_text()))


def main():
    full = mesh_of(-1, 1)
    jax.config.update("jax_default_matmul_precision", "highest")
    one, eight = small_mesh(full), mesh_of(2, 4)
    first, first_of_eight = first_state(one), first_state(eight)
    start = jax.device_get(first)
    alone, reference = steps(start, one)
    trained = {}
    meshes = {f"{data},{fsdp}": mesh_of(data, fsdp) for data, fsdp in MESHES}
    meshes |= {f"{data},{fsdp}": small_mesh(full, data, fsdp) for data, fsdp in ON_TWO}
    for name, mesh in meshes.items():
        with tempfile.TemporaryDirectory() as folder:
            jax.config.update("jax_dump_ir_to", folder)
            found, values = steps(start, mesh)
            jax.config.update("jax_dump_ir_to", None)
            counted = constraints(folder)
        found |= {"error": error(values, reference), "constraints": counted}
        trained[name] = found
    result = {
        "shapes": shapes(),
        "weights": weights(),
        "held": held(first_of_eight, eight),
        "first_error": error(host(first_of_eight.params), host(first.params)),
        "moved": error(reference, host(start.params)),
        "placed": placed(),
        "alone": alone,
        "trained": trained,
    }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
