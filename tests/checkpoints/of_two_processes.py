"""``python -m tests.checkpoints.of_two_processes RESULT PORT INDEX WORKDIR``: one of two.

Both, of two devices each, use the same run directory.
"""

import contextlib
import json
import pathlib
import shutil
import sys
import time
from unittest import mock

import flax.linen as nn
import jax
import numpy as np
import orbax.checkpoint as ocp
import safetensors.numpy
from jax.experimental import multihost_utils

from tests.checkpoints import states
from tests.checkpoints.damages import break_newest
from tests.checkpoints.on_eight_devices import shardings
from tests.parity import foreign
from tests.sharding.meshes import mesh_of
from tests.tiny_run import tiny_config
from vidtx import create_model
from vidtx.checkpoints import BestStore, CheckpointStore, folder, restore_weights
from vidtx.checkpoints.digests import named_leaves
from vidtx.config import resolve
from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.run.start import first_weights
from vidtx.sharding import weight_shardings
from vidtx.training import boxed_params
from vidtx.weights.resize import resize_position


def placed(step, places):
    """State ``step``, of which every process holds its part."""
    return jax.tree.map(
        lambda leaf, place: jax.make_array_from_callback(leaf.shape, place, lambda at: leaf[at]),
        states.numbers(step),
        places,
    )


def same(tree, expected):
    """Whether the parts that lie here are those of the expected arrays."""
    equal = jax.tree.map(
        lambda leaf, whole: all(
            (part.data == whole[part.index]).all() for part in leaf.addressable_shards
        ),
        tree,
        expected,
    )
    return all(jax.tree.leaves(equal))


class Process:
    def __init__(self, index, workdir):
        self.index, self.workdir = index, workdir
        self.places = shardings(mesh_of(1, 4))
        self.notes = []
        self.abstract = jax.tree.map(
            lambda leaf, place: leaf.update(sharding=place), states.abstract(), self.places
        )

    def save(self, *steps):
        with self.store(keep=3) as store:
            for step in steps:
                store.save(step, placed(step, self.places))

    def store(self, **options):
        return CheckpointStore(self.workdir, note=self.notes.append, **options)

    def best(self, **options):
        return BestStore(self.workdir, note=self.notes.append, **options)

    def restored(self, opened=None):
        """The step that is restored, if its numbers are right, and the notes that are made."""
        self.notes.clear()
        with opened or self.store() as store:
            read = store.restore_best if isinstance(store, BestStore) else store.restore_newest
            step, state = read(self.abstract)
        assert same(state, states.numbers(step))
        return step, [note.partition(" (")[0] for note in self.notes]

    def damage(self, act):
        """Calls ``act`` in the first process while the others wait."""
        multihost_utils.sync_global_devices("before damage")
        if self.index == 0:
            act()
        multihost_utils.sync_global_devices("after damage")

    @contextlib.contextmanager
    def failing(self, **steps):
        """The storage of a process fails where it reads a step: ``first=4``."""
        bad = str(steps.get(("first", "second")[self.index]))
        restore = ocp.PyTreeCheckpointHandler.restore

        def maybe(handler, folder, *arguments, **options):
            if folder.parent.name == bad:
                raise OSError("bad sector")
            return restore(handler, folder, *arguments, **options)

        with mock.patch.object(ocp.PyTreeCheckpointHandler, "restore", maybe):
            yield

    def checkpoints(self):
        self.save(1, 2, 3, 4)
        found = {"saved": self.restored()}
        self.damage(lambda: break_newest(self.workdir, 4))
        found["damaged for both"] = self.restored()
        self.save(4)
        with self.failing(second=4):
            found["damaged for the second"] = self.restored(self.store(read_only=True))
        with self.failing(first=3, second=4):
            found["damaged for each"] = self.restored()
        return found

    def best_states(self):
        with self.best(keep=2) as best, self.store(keep=2) as store:
            store.save(5, placed(5, self.places))  # under way while the offers are made
            taken = [
                step
                for step, score in ((5, 0.5), (6, 0.7), (7, 0.4), (8, 0.6), (6, 0.7))
                if best.offer(step, score, placed(step, self.places))
            ]
            kept = list(best.scores.items())
        found = {"taken": taken, "kept": kept, "best": self.restored(self.best(keep=2))}
        self.damage(lambda: break_newest(self.workdir, 6, "best"))
        found["next best"] = self.restored(self.best(keep=2))
        return found

    def weights(self):
        targets = named_leaves(self.abstract.params)

        def choose(found):
            return {name: targets[name].sharding for name in found.shapes}

        def restore(path):
            return restore_weights(path, choose)

        weights = restore(self.workdir)
        wanted = named_leaves(states.numbers(weights.step).params)
        assert same(dict(weights.taken), wanted)
        assert {name: leaf.sharding for name, leaf in weights.taken.items()} == choose(weights)
        with self.failing(second=5):
            passed_over = restore(self.workdir)
            try:
                restore(self.workdir / "checkpoints" / "5")
            except CheckpointError as error:
                return [
                    weights.step,
                    passed_over.step,
                    "on process 1: bad sector" in str(error) and error.together,
                ]

    def begins(self):
        """A run of another scheme and other sizes begins with a checkpoint or a file."""
        model = create_model(
            "timesformer_ti4", scheme="axial", num_classes=5, num_frames=4, image_size=(8, 16),
            embed_dim=16, depth=1, num_heads=2,
        )  # fmt: skip
        mesh = mesh_of(1, 4)
        boxed = jax.eval_shape(lambda: boxed_params(model))
        params = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            nn.unbox(boxed),
            weight_shardings(boxed, mesh),
        )
        targets = named_leaves(params)

        def first(path):
            spec = resolve(tiny_config("data", **{"train.init_from": str(path)}))
            names = tuple("abcde")
            weights = first_weights(spec, model, params, mesh, names, self.notes.append)
            for name, leaf in weights.taken.items():
                assert leaf.sharding == targets[name].sharding
            copied = weights.taken["block_0.width.attention.qkv.kernel"]
            assert 4 * copied.addressable_shards[0].data.size == copied.size
            return weights.taken

        own = named_leaves(states.numbers(5).params)
        taken = first(self.workdir / "checkpoints" / "5")
        wanted = {
            "embedding.position": resize_position(own["embedding.position"], (2, 2), (2, 4)),
            "block_0.time.fc.kernel": own["block_0.time.fc.kernel"],
            "block_0.width.attention.qkv.kernel": own["block_0.attention.qkv.kernel"],
        }
        found = {"checkpoint": same({name: taken[name] for name in wanted}, wanted)}
        file = self.workdir.parent / "image.safetensors"
        self.damage(lambda: write_image_model(file, 3))
        found["file"] = same(first(file)["norm.scale"], np.full(16, 3, np.float32))
        own_file = self.workdir.parent / f"host{self.index}.safetensors"
        self.damage(lambda: write_image_model(own_file, 4))
        found["absent on one"] = refused(lambda: first(own_file))
        if self.index:
            write_image_model(own_file, 5)
        found["another on one"] = refused(lambda: first(own_file))
        own_folder = self.workdir.parent / f"host{self.index}"
        write_video_model(own_folder)
        if self.index:  # the same arrays, of which less is known
            (own_folder / "config.json").unlink()
        found["less on record on one"] = refused(lambda: first(own_folder))
        if self.index:
            shutil.rmtree(own_folder)
            own_folder.symlink_to(self.workdir / "checkpoints" / "5")
        found["a checkpoint on one"] = refused(lambda: first(own_folder))
        return found

    def not_shared(self):
        folder._PATIENCE = 1
        began = time.monotonic()
        try:
            CheckpointStore(self.workdir / f"own{self.index}")
        except MachineError as error:
            return [str(error)[:57], error.together and time.monotonic() - began < 30]


def write_image_model(path, scale):
    """In timm's layout, with norms of its own."""
    size = foreign.Size(dim=16, depth=1, heads=2, patch=4, grid=(1, 2, 2), classes=5)
    arrays = foreign.weights(foreign.shapes_of("timm_vit", size))
    arrays["norm.weight"] = np.full(16, scale, np.float32)
    safetensors.numpy.save_file(arrays, path)


def write_video_model(folder):
    """As transformers would save it: names of classes are in its config."""
    size = foreign.Size(dim=16, depth=1, heads=2, patch=4, grid=(4, 2, 2), classes=5)
    kind = "divided_space_time"
    foreign.write(folder, kind, foreign.weights(foreign.shapes_of(kind, size)), size)


def refused(act):
    try:
        act()
    except ConfigError as error:
        return [str(error), error.together]


def main():
    result, port, index, workdir = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(index))
    process = Process(int(index), pathlib.Path(workdir))
    found = {
        "checkpoints": process.checkpoints(),
        "best": process.best_states(),
        "weights": process.weights(),
        "begins": process.begins(),
        "not shared": process.not_shared(),
    }
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
