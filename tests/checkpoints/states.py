"""Train states with known numbers in them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vidtx import create_model
from vidtx.checkpoints import CheckpointStore
from vidtx.training import TrainState, Window


@functools.cache
def _shapes(num_classes, num_frames):
    """The state's shapes, for which nothing need be compiled."""
    model = create_model(
        "timesformer_ti4", num_classes=num_classes, num_frames=num_frames, image_size=8,
        embed_dim=16, depth=1, num_heads=2,
    )  # fmt: skip
    optimizer = optax.adamw(1e-3)

    def make():
        params = jax.tree.map(
            lambda leaf: leaf.unbox(),
            model.init(jax.random.key(0), jnp.zeros((1, num_frames, 8, 8, 3)))["params"],
            is_leaf=lambda leaf: hasattr(leaf, "unbox"),
        )
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=optimizer.init(params),
            window=Window.empty(),
        )

    return jax.eval_shape(make)


def abstract(num_classes=3, sharding=None, num_frames=2):
    """The tree to restore onto."""
    sharding = sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        _shapes(num_classes, num_frames),
    )


def numbers(step):
    """State ``step`` in host memory: numbers that depend on the step and on the leaf alone."""
    random = np.random.RandomState(step)
    full = jax.tree.map(
        lambda leaf: (100 * random.standard_normal(leaf.shape)).astype(leaf.dtype), abstract()
    )
    return full.replace(step=np.int32(step))


def state(step, sharding=None):
    """State ``step`` on a device, or where ``sharding`` says."""
    return jax.tree.map(
        lambda leaf, target: jax.device_put(leaf, target.sharding),
        numbers(step),
        abstract(sharding=sharding),
    )


def fields(state):
    """A state as a table, to which fields may be added."""
    table = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: value for name, value in table.items() if value is not None}


def assert_equal(left, right):
    """Bit for bit, dtypes included."""
    jax.tree.map(same_bits, jax.device_get(left), jax.device_get(right))


def same_bits(a, b):
    assert a.dtype == b.dtype
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def restore(workdir, **options):
    """What a new process would go on with, and the notes that it makes."""
    notes = []
    with CheckpointStore(workdir, note=notes.append, **options) as store:
        return store.restore_newest(abstract()), notes


def names(workdir, folder="checkpoints"):
    return sorted(path.name for path in (workdir / folder).iterdir())
