import json
import shutil

import jax
import jax.numpy as jnp
import pytest

from tests.checkpoints import states
from tests.checkpoints.damages import break_newest
from vidtx.checkpoints import BestStore, CheckpointStore, restore_weights
from vidtx.checkpoints.digests import named_leaves
from vidtx.checkpoints.weights import everything, look_at_weights
from vidtx.errors import CheckpointError, ConfigError

# Orbax leaves coroutines unawaited where one of many reads fails.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning"
)


def weights_of(path, choose=everything):
    """The weights that are read, and the notes that are made."""
    notes = []
    return restore_weights(path, choose, note=notes.append), notes


def assert_taken(weights, params):
    """Bit for bit what was saved, and all of it."""
    states.assert_equal(dict(weights.taken), named_leaves(params))
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in weights.shapes.items()} == {
        name: (leaf.shape, leaf.dtype) for name, leaf in named_leaves(params).items()
    }


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_the_newest_checkpoint_s_weights_are_taken(saved):
    before = listing(saved)
    weights, notes = weights_of(saved)
    assert (weights.step, weights.source) == (2, saved / "checkpoints" / "2")
    assert (weights.averaged, notes) == (False, [])
    assert "block_0.mlp.fc1.kernel" in weights.taken
    assert_taken(weights, states.state(2).params)
    assert listing(saved) == before


def test_one_checkpoint_may_be_named(saved):
    for path in (saved / "checkpoints" / "1", f"{saved}/checkpoints/1/"):
        weights, _ = weights_of(path)
        assert weights.step == 1
        assert_taken(weights, states.state(1).params)
    assert weights_of(saved / "checkpoints")[0].step == 2


def test_the_best_may_be_named(saved, tmp_path):
    workdir = shutil.copytree(saved, tmp_path / "run")
    with BestStore(workdir, keep=2) as best:
        for step, score in ((5, 0.5), (6, 0.9), (7, 0.8)):
            best.offer(step, score, states.state(step))
    weights, _ = weights_of(workdir / "best")
    assert (weights.step, weights.source) == (6, workdir / "best" / "6")
    assert_taken(weights, states.state(6).params)
    assert weights_of(workdir / "best" / "7")[0].step == 7
    break_newest(workdir, 6, "best")
    weights, notes = weights_of(workdir / "best")
    assert (weights.step, len(notes)) == (7, 1)


def test_averaged_weights_are_preferred(tmp_path):
    table = states.fields(states.state(4))
    with CheckpointStore(tmp_path) as store:
        store.save(4, table | {"ema": states.state(40).params})
    weights, _ = weights_of(tmp_path)
    assert weights.averaged
    assert_taken(weights, states.state(40).params)


def test_the_optimizer_s_state_is_neither_wanted_nor_read(saved, tmp_path):
    with CheckpointStore(tmp_path / "other") as store:
        table = states.fields(states.state(4)) | {"opt_state": {"trace": jnp.zeros((3, 5))}}
        store.save(4, table)
    assert weights_of(tmp_path / "other")[0].step == 4
    # Its digest is wrong, and nobody minds.
    workdir = shutil.copytree(saved, tmp_path / "run")
    path = workdir / "checkpoints" / "2" / "digests" / "metadata"
    noted = json.loads(path.read_text())
    path.write_text(json.dumps({k: v + ("opt_state" in k) for k, v in noted.items()}))
    assert weights_of(workdir)[0].step == 2
    assert states.restore(workdir, read_only=True)[0][0] == 1


def test_what_is_chosen_is_read_and_lies_where_it_is_wanted(saved):
    mesh = jax.make_mesh((1,), ("fsdp",))
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    weights, _ = weights_of(saved, lambda found: dict.fromkeys(["norm.scale", "head.bias"], place))
    assert weights.taken.keys() == {"norm.scale", "head.bias"}
    assert {leaf.sharding for leaf in weights.taken.values()} == {place}
    expected = named_leaves(states.state(2).params)
    states.same_bits(weights.taken["head.bias"], expected["head.bias"])
    assert weights.shapes.keys() == expected.keys()


def test_whoever_chooses_knows_names_and_shapes_and_may_refuse(saved):
    seen = []

    def refuse(found):
        seen.append(found)
        raise CheckpointError("not these")

    with pytest.raises(CheckpointError, match="not these"):
        weights_of(saved, refuse)
    (found,) = seen
    assert (found.step, found.averaged, dict(found.taken)) == (2, False, {})
    assert found.shapes["embedding.time"].shape == (1, 2, 16)
    # The same without reading.
    assert look_at_weights(saved / "checkpoints" / "2") == found


def test_what_holds_no_parameters_is_told(saved, tmp_path):
    with CheckpointStore(tmp_path) as store:
        store.save(3, {"step": jnp.int32(3)})
    folder = tmp_path / "checkpoints" / "3"
    for look in (weights_of, look_at_weights):
        with pytest.raises(CheckpointError, match=f"{folder} holds no parameters"):
            look(folder)
    (folder / "state" / "_METADATA").write_text("{")
    with pytest.raises(CheckpointError, match="3 is damaged"):
        look_at_weights(folder)


def test_a_damaged_newest_is_passed_over_and_left(copied):
    break_newest(copied)
    before = listing(copied)
    weights, (note,) = weights_of(copied)
    assert weights.step == 1
    assert note.startswith("Checkpoint 2 is damaged (")
    assert listing(copied) == before


def test_a_damaged_checkpoint_that_was_named_is_not_replaced(copied):
    break_newest(copied)
    before = listing(copied)
    with pytest.raises(CheckpointError, match=r"2 is damaged: .*Name another one"):
        weights_of(copied / "checkpoints" / "2")
    assert listing(copied) == before


def test_changed_bits_of_a_weight_are_noticed(copied):
    path = copied / "checkpoints" / "2" / "digests" / "metadata"
    noted = json.loads(path.read_text())
    path.write_text(json.dumps({k: v + (k == "params.head.kernel") for k, v in noted.items()}))
    with pytest.raises(CheckpointError, match=r"bits of params\.head\.kernel have changed"):
        weights_of(copied / "checkpoints" / "2")

    # Of a head that is not read, nothing is noticed.
    def without_head(found):
        places = everything(found)
        return {name: place for name, place in places.items() if not name.startswith("head.")}

    assert weights_of(copied, without_head)[0].step == 2


def test_where_nothing_is_that_is_told(saved, tmp_path):
    with pytest.raises(ConfigError, match=r"no folder .*/absent"):
        weights_of(tmp_path / "absent")
    with pytest.raises(ConfigError, match="no folder"):
        weights_of(saved / "checkpoints" / "3")
    with pytest.raises(CheckpointError, match="holds no checkpoints"):
        weights_of(tmp_path)
    for folder in ("checkpoints", "best"):
        (tmp_path / folder).mkdir()
        with pytest.raises(CheckpointError, match=f"{folder} holds no complete checkpoint"):
            weights_of(tmp_path / folder)


def test_if_all_are_damaged_that_is_told(copied):
    break_newest(copied, 1)
    break_newest(copied, 2)
    with pytest.raises(CheckpointError, match=r"can be read; damaged are 2 .* 1 .*another run"):
        weights_of(copied)
