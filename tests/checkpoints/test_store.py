import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoints import states
from tests.checkpoints.killing import kill_amid
from tests.checkpoints.states import names, restore
from tests.tiny_run import run_program
from vidtx.checkpoints import CheckpointStore
from vidtx.errors import MachineError

# Coroutines that Orbax left unawaited in `test_damage` may be complained of here.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning"
)


def test_what_is_saved_comes_back_bit_for_bit(saved):
    (step, restored), notes = restore(saved)
    assert step == 2
    states.assert_equal(restored, states.state(2))
    assert type(restored) is type(states.state(2))
    assert notes == []


def test_the_state_of_another_step_would_be_told_apart():
    with pytest.raises(AssertionError):
        states.assert_equal(states.state(1), states.state(2))


def test_numbers_that_are_no_numbers_come_back_too(tmp_path):
    state = states.state(3)
    odd = np.array([np.nan, np.inf, -0.0, 1e-45, *range(12)], np.float32)
    state.params["norm"]["bias"] = jnp.asarray(odd)
    with CheckpointStore(tmp_path) as store:
        store.save(3, state)
    (_, restored), _ = restore(tmp_path)
    assert np.asarray(restored.params["norm"]["bias"]).tobytes() == odd.tobytes()


def test_the_newest_two_are_kept(tmp_path):
    with CheckpointStore(tmp_path, keep=2) as store:
        for step in (2, 4, 6, 8):
            store.save(step, states.state(step))
        store.wait()
        assert store.steps == [6, 8]
    assert names(tmp_path) == ["6", "8"]


def test_multiples_are_kept_for_ever(tmp_path):
    for resumed in range(0, 12, 4):  # three processes, one after the other
        with CheckpointStore(tmp_path, keep=2, keep_every=4) as store:
            for step in range(resumed + 1, resumed + 5):
                store.save(step, states.state(step))
    assert names(tmp_path) == ["11", "12", "4", "8"]
    assert restore(tmp_path)[0][0] == 12
    # A run that keeps fewer goes on.
    with CheckpointStore(tmp_path, keep=1) as store:
        store.save(13, states.state(13))
    assert names(tmp_path) == ["13"]


def test_multiples_alone_say_not_what_else_to_delete(tmp_path):
    with CheckpointStore(tmp_path, keep_every=2) as store:
        for step in (1, 2, 3):
            store.save(step, states.state(step))
    assert names(tmp_path) == ["1", "2", "3"]


def test_a_store_may_be_in_another_folder(tmp_path):
    with CheckpointStore(tmp_path, folder="aside") as store:
        store.save(1, states.state(1))
        assert store.directory == tmp_path / "aside"
    assert names(tmp_path, "aside") == ["1"]
    assert restore(tmp_path) == (None, [])
    assert restore(tmp_path, folder="aside")[0][0] == 1


def test_a_step_older_than_the_newest_is_not_passed_over_in_silence(copied):
    with CheckpointStore(copied) as store:
        store.save(5, states.state(5))
        with pytest.raises(MachineError, match="newer than 4"):
            store.save(4, states.state(4))


def test_all_are_kept_unless_told_otherwise(tmp_path):
    with CheckpointStore(tmp_path) as store:
        for step in range(1, 6):
            store.save(step, states.state(step))
    assert names(tmp_path) == list("12345")


def test_judging_a_run_deletes_none_of_its_checkpoints(copied):
    before = names(copied)
    restore(copied)
    assert names(copied) == before


def test_there_may_be_none(tmp_path):
    assert restore(tmp_path) == (None, [])


def test_saving_a_step_again_is_harmless(copied):
    with CheckpointStore(copied) as store:
        store.save(2, states.state(9).replace(step=jnp.int32(2)))
        store.save(1, states.state(9))
    (step, restored), _ = restore(copied)
    assert step == 2
    states.assert_equal(restored, states.state(2))


def test_training_on_does_not_disturb_what_is_being_saved(tmp_path):
    step_on = jax.jit(lambda s: jax.tree.map(lambda leaf: leaf * 0, s), donate_argnums=0)
    state = states.state(5)
    with CheckpointStore(tmp_path) as store:
        store.save(5, state)
        # Buffers that are being read are not given away: then JAX works on a copy.
        while not state.params["norm"]["bias"].is_deleted():
            jax.block_until_ready(step_on(state))
    (_, restored), _ = restore(tmp_path)
    states.assert_equal(restored, states.state(5))


def test_a_state_may_be_restored_onto_other_devices():
    found = run_program("tests.checkpoints.on_eight_devices", devices=8)
    assert len(found) == 9
    for way, outcome in found.items():
        assert outcome == {"equal": True, "lies_right": True}, way


@pytest.mark.parametrize("seed", range(3))
def test_a_process_killed_while_saving_costs_no_complete_checkpoint(tmp_path, seed):
    complete = kill_amid("tests.checkpoints.save_for_ever", tmp_path, seed)
    (step, restored), notes = restore(tmp_path)
    # The one under way may have been finished without its being told.
    assert complete <= step <= complete + 1
    assert notes == []
    states.assert_equal(restored, states.state(step))
    with CheckpointStore(tmp_path, keep=2) as store:
        for later in (step + 1, step + 2):
            store.save(later, states.state(later))
    assert names(tmp_path) == sorted([str(step + 1), str(step + 2)])
