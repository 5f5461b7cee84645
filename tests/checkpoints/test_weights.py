import json
import shutil

import jax
import jax.numpy as jnp
import pytest

from tests.checkpoints import states
from tests.checkpoints.damages import break_newest
from vidtx.checkpoints import BestStore, CheckpointStore, restore_weights
from vidtx.errors import CheckpointError, ConfigError

# Orbax leaves coroutines unawaited where one of many reads fails.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning"
)


def weights_of(path, **shape):
    """The weights that a run would begin with, and the notes that are made."""
    notes = []
    return restore_weights(path, states.abstract(**shape).params, note=notes.append), notes


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_the_newest_checkpoint_s_weights_are_taken(saved):
    before = listing(saved)
    weights, notes = weights_of(saved)
    assert (weights.step, weights.source) == (2, saved / "checkpoints" / "2")
    assert (weights.averaged, notes) == (False, [])
    assert weights.missing == weights.mismatched == weights.unused == []
    assert "block_0.mlp.fc1.kernel" in weights.taken
    states.assert_equal(weights.over(states.state(9).params), states.state(2).params)
    assert listing(saved) == before


def test_one_checkpoint_may_be_named(saved):
    for path in (saved / "checkpoints" / "1", f"{saved}/checkpoints/1/"):
        weights, _ = weights_of(path)
        assert weights.step == 1
        states.assert_equal(weights.over(states.state(9).params), states.state(1).params)
    assert weights_of(saved / "checkpoints")[0].step == 2


def test_the_best_may_be_named(saved, tmp_path):
    workdir = shutil.copytree(saved, tmp_path / "run")
    with BestStore(workdir, keep=2) as best:
        for step, score in ((5, 0.5), (6, 0.9), (7, 0.8)):
            best.offer(step, score, states.state(step))
    weights, _ = weights_of(workdir / "best")
    assert (weights.step, weights.source) == (6, workdir / "best" / "6")
    states.assert_equal(weights.over(states.state(9).params), states.state(6).params)
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
    states.assert_equal(weights.over(states.state(9).params), states.state(40).params)


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


def test_weights_lie_where_they_are_wanted(saved):
    mesh = jax.make_mesh((1,), ("fsdp",))
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    weights, _ = weights_of(saved, sharding=place)
    assert {leaf.sharding for leaf in weights.taken.values()} == {place}


def test_a_head_of_other_classes_stays_new(saved):
    weights, (note,) = weights_of(saved, num_classes=5)
    assert weights.mismatched == ["head.bias", "head.kernel"]
    assert note == (
        f"The head is not taken from {saved / 'checkpoints' / '2'}, it begins anew: head.bias: "
        "float32[3] saved, float32[5] wanted; head.kernel: float32[16, 3] saved, float32[16, 5] "
        "wanted."
    )
    own = states.abstract(num_classes=5).params | {"head": {"kernel": "own", "bias": "own"}}
    taken = weights.over(own)
    assert taken.pop("head") == own["head"]
    old = dict(states.state(2).params)
    old.pop("head")
    states.assert_equal(taken, old)


def test_embeddings_of_another_size_are_refused_with_their_sizes(saved):
    with pytest.raises(CheckpointError) as caught:
        weights_of(saved, num_frames=4)
    message = str(caught.value)
    assert "  - embedding.time: float32[1, 2, 16] saved, float32[1, 4, 16] wanted\n" in message
    assert "Embeddings of another size are not converted" in message
    assert "head" not in message


def test_all_that_does_not_fit_is_listed(saved):
    params = states.abstract().params
    scale, bias = params["norm"]["scale"], params["norm"]["bias"]
    params["norm"] = {"scale": scale.update(dtype=jnp.bfloat16), "shift": bias}
    with pytest.raises(CheckpointError) as caught:
        restore_weights(saved, params)
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  - ")]
    assert lines == [
        "  - norm.bias: float32[16] saved, absent wanted",
        "  - norm.scale: float32[16] saved, bfloat16[16] wanted",
        "  - norm.shift: absent saved, float32[16] wanted",
    ]


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
    assert weights_of(copied, num_classes=5)[0].step == 2


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
