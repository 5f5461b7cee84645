"""``python -m tests.checkpoints.on_eight_devices RESULT``: from each mesh onto each other."""

import json
import pathlib
import sys
import tempfile

import jax
from jax.sharding import NamedSharding, PartitionSpec

from tests.checkpoints import states
from tests.sharding.meshes import mesh_of
from vidtx.checkpoints import CheckpointStore


def shardings(mesh):
    """The longest axes split over ``fsdp``, where it divides them."""

    def place(leaf):
        axes = [None] * leaf.ndim
        if leaf.ndim and max(leaf.shape) % mesh.shape["fsdp"] == 0:
            axes[leaf.shape.index(max(leaf.shape))] = "fsdp"
        return NamedSharding(mesh, PartitionSpec(*axes))

    return jax.tree.map(place, states.abstract())


def equal(left, right):
    try:
        states.assert_equal(left, right)
    except AssertionError:
        return False
    return True


def main():
    meshes = {"one": mesh_of(), "2x4": mesh_of(2, 4), "8x1": mesh_of(8)}
    places = {name: shardings(mesh) for name, mesh in meshes.items()}
    found = {}
    for source, sharding in places.items():
        with tempfile.TemporaryDirectory() as folder:
            with CheckpointStore(folder) as store:
                store.save(4, jax.device_put(jax.device_get(states.state(4)), sharding))
            for target, other in places.items():
                abstract = jax.tree.map(
                    lambda leaf, place: leaf.update(sharding=place), states.abstract(), other
                )
                with CheckpointStore(folder) as store:
                    step, restored = store.restore_newest(abstract)
                right = jax.tree.map(lambda leaf, place: leaf.sharding == place, restored, other)
                found[f"{source} to {target}"] = {
                    "equal": step == 4 and equal(restored, states.state(4)),
                    "lies_right": all(jax.tree.leaves(right)),
                }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
