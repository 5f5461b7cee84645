"""``python -m tests.checkpoints.across RESULT``: a run that changes its mesh and how it loops.

It goes two steps on one mesh, layer by layer; then, restored, on another, where it scans its
layers; and back. Each time both go one step further from the same state.
"""

import json
import pathlib
import sys
import tempfile

import jax

from tests.checkpoints import states
from tests.sharding import steps
from tests.sharding.meshes import mesh_of
from vidtx.checkpoints import CheckpointStore


class Machine:
    """A mesh and a compiled step."""

    def __init__(self, *lengths, scan):
        self.mesh = mesh_of(*lengths)
        options = {"scan": scan, "depth": 2}
        self.abstract = steps.parts(self.mesh, **options)[-1]
        self.step, self.places = steps.step_of(self.mesh, **options)
        self.first = lambda: steps.first_state(self.mesh, **options)

    def next(self, state):
        """The state after one more step, and its loss."""
        before = float(state.window.loss)
        rows = steps.placed(steps.batch(int(state.step)), self.mesh)
        state = self.step(state, rows)
        return state, float(state.window.loss) - before

    def restored(self, folder):
        with CheckpointStore(folder) as store:
            return store.restore_newest(self.abstract)

    def lies_right(self, state):
        right = jax.tree.map(lambda leaf, place: leaf.sharding == place, state, self.places)
        return all(jax.tree.leaves(right))


def handed_over(state, source, target, folder):
    """What ``target`` makes of a state of ``source``, and the state after one more step there."""
    with CheckpointStore(folder) as store:
        store.save(int(state.step), state)
    kept = jax.device_get(state)
    step, restored = target.restored(folder)
    found = {
        "step": step,
        "lies_right": target.lies_right(restored),
        "names": sorted(restored.params),
    }
    try:
        states.assert_equal(restored, kept)
        found["equal"] = True
    except AssertionError:
        found["equal"] = False
    _, own = source.next(state)
    after, other = target.next(restored)
    return found | {"losses": [own, other]}, after


def main():
    jax.config.update("jax_default_matmul_precision", "highest")
    loop, scan = Machine(1, 2, 2, 2, scan=False), Machine(8, scan=True)
    state = jax.device_put(steps.lively(jax.device_get(loop.first())), loop.places)
    for _ in range(2):
        state, _ = loop.next(state)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        found["loop to scan"], state = handed_over(state, loop, scan, folder)
        found["scan to loop"], _ = handed_over(state, scan, loop, folder)
    pathlib.Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
