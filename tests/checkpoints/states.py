"""Train states with known numbers in them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vidtx import create_model
from vidtx.checkpoints import CheckpointStore
from vidtx.training import TrainState, Window


@functools.cache
def _shapes(num_classes):
    """The state's shapes, for which nothing need be compiled."""
    model = create_model(
        "timesformer_ti4", num_classes=num_classes, num_frames=2, image_size=8, embed_dim=16,
        depth=1, num_heads=2,
    )  # fmt: skip
    optimizer = optax.adamw(1e-3)

    def make():
        params = jax.tree.map(
            lambda leaf: leaf.unbox(),
            model.init(jax.random.key(0), jnp.zeros((1, 2, 8, 8, 3)))["params"],
            is_leaf=lambda leaf: hasattr(leaf, "unbox"),
        )
        return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), Window.empty())

    return jax.eval_shape(make)


def abstract(num_classes=3, sharding=None):
    """The tree to restore onto."""
    sharding = sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        _shapes(num_classes),
    )


def state(step, sharding=None):
    """State ``step``: numbers that depend on the step and on the leaf, and on nothing else."""
    random = np.random.RandomState(step)
    target = abstract(sharding=sharding)
    full = jax.tree.map(
        lambda leaf: jax.device_put(
            (100 * random.standard_normal(leaf.shape)).astype(leaf.dtype), leaf.sharding
        ),
        target,
    )
    return full.replace(step=jax.device_put(np.int32(step), target.step.sharding))


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


def names(workdir):
    return sorted(path.name for path in (workdir / "checkpoints").iterdir())
