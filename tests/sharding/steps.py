"""Training of a tiny model on made-up clips, on any mesh."""

import functools

import jax
import numpy as np

from tests import tiny_run
from vidtx import create_model
from vidtx.config import resolve
from vidtx.sharding import place_batch, rows_of_process
from vidtx.training import (
    abstract_state,
    boxed_params,
    init_state,
    make_optimizer,
    make_train_step,
)

FRAMES, SIZE, ROWS, STEPS = 4, 8, 32, 3

# All that is random, as the draws must not depend on the mesh either, and a batch in parts.
RANDOM = {"data.flip": True, "train.mixup": 0.8, "train.cutmix": 1.0, "train.accumulate": 2}


@functools.cache
def spec_of(random=False, **more):
    # SGD: Adam divides rounding by the root of rounding where gradients are almost zero.
    options = {
        "optimizer.name": "sgd", "optimizer.schedule": "constant", "optimizer.warmup_steps": 0,
        "optimizer.clip_norm": None, "optimizer.weight_decay": 0.0, "train.global_batch": ROWS,
        "data.frames": FRAMES, "data.image_size": (SIZE, SIZE), "data.short_side": (SIZE, SIZE),
    }  # fmt: skip
    return resolve(tiny_run.tiny_config("data", **options | (RANDOM if random else {}) | more))


@functools.cache
def parts(mesh, scheme="divided", random=False, accumulate=1, scan=False, depth=1):
    """The run, its model, optimiser and abstract state."""
    more = {} if random else {"train.accumulate": accumulate}
    spec = spec_of(random, **more)
    model = create_model(
        "timesformer_ti4", scheme=scheme, num_classes=3, num_frames=FRAMES, image_size=SIZE,
        embed_dim=16, depth=depth, num_heads=4, drop_path=0.3 if random else 0.0,
        scan_layers=scan,
    )  # fmt: skip
    params = jax.eval_shape(lambda: boxed_params(model))
    optimizer = make_optimizer(spec.optimizer, lambda step: 0.1, params)
    abstract = abstract_state(model, optimizer, mesh)
    return spec, model, optimizer, abstract


def first_state(mesh, scheme="divided", **options):
    spec, model, optimizer, _ = parts(mesh, scheme, **options)
    return init_state(model, optimizer, spec.seed, mesh)


def lively(state):
    """A state in host memory with weights that all matter: in a fresh one, many start at zero."""
    random = np.random.RandomState(0)
    params = jax.tree.map(
        lambda leaf: leaf + 0.2 * random.standard_normal(leaf.shape).astype(leaf.dtype),
        state.params,
    )
    return state.replace(params=params)


def step_of(mesh, scheme="divided", **options):
    """The step, not compiled, and where its state lies."""
    spec, model, optimizer, abstract = parts(mesh, scheme, **options)
    step = make_train_step(spec, model, optimizer, mesh, abstract)
    return step, jax.tree.map(lambda leaf: leaf.sharding, abstract)


def batch(number, rows=ROWS):
    """Batch ``number``, whole."""
    random = np.random.RandomState(number)
    return {
        "video": random.randint(0, 256, (rows, FRAMES, SIZE, SIZE, 3), np.uint8),
        "label": random.randint(0, 3, rows, np.int32),
        "index": random.randint(0, 99, rows).astype(np.uint32),
        "replaced": np.zeros(rows, np.int32),
    }


def own_rows(whole, mesh):
    """Of a whole batch, the rows that this process reads."""
    blocks, count = rows_of_process(mesh)
    return {
        name: np.concatenate([np.split(rows, count)[block] for block in blocks])
        for name, rows in whole.items()
    }


def placed(whole, mesh):
    """A batch on the mesh."""
    return place_batch(own_rows(whole, mesh), mesh)


def place_state(state, shardings):
    """A state in host memory where it is to lie, on devices of any process."""
    return jax.tree.map(
        lambda leaf, place: jax.make_array_from_callback(leaf.shape, place, lambda at: leaf[at]),
        state,
        shardings,
    )


def flat(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def host(tree):
    return {name: np.asarray(leaf) for name, leaf in flat(jax.device_get(tree)).items()}


def error(found, reference):
    """The largest difference, relative to the size of the whole weight."""
    return max(
        float(np.abs(found[name] - right).max() / (np.abs(right).max() + 1e-30))
        for name, right in reference.items()
    )
