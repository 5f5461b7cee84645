"""``python -m tests.checkpoints.of_two_processes RESULT PORT INDEX WORKDIR``: one of two.

Both, of two devices each, use the same run directory.
"""

import contextlib
import json
import pathlib
import sys
import time
from unittest import mock

import jax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from tests.checkpoints import states
from tests.checkpoints.damages import break_newest
from tests.checkpoints.on_eight_devices import shardings
from tests.sharding.meshes import mesh_of
from vidtx.checkpoints import BestStore, CheckpointStore, folder, restore_weights
from vidtx.errors import CheckpointError, MachineError


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
        weights = restore_weights(self.workdir, self.abstract.params)
        right = same(weights.over(self.abstract.params), states.numbers(weights.step).params)
        assert right
        with self.failing(second=5):
            passed_over = restore_weights(self.workdir, self.abstract.params)
            try:
                restore_weights(self.workdir / "checkpoints" / "5", self.abstract.params)
            except CheckpointError as error:
                return [
                    weights.step,
                    passed_over.step,
                    "on process 1: bad sector" in str(error) and error.together,
                ]

    def not_shared(self):
        folder._PATIENCE = 1
        began = time.monotonic()
        try:
            CheckpointStore(self.workdir / f"own{self.index}")
        except MachineError as error:
            return [str(error)[:57], error.together and time.monotonic() - began < 30]


def main():
    result, port, index, workdir = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(index))
    process = Process(int(index), pathlib.Path(workdir))
    found = {
        "checkpoints": process.checkpoints(),
        "best": process.best_states(),
        "weights": process.weights(),
        "not shared": process.not_shared(),
    }
    pathlib.Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
