import gc
import json
import shutil

import jax
import jax.numpy as jnp
import pytest

from tests.checkpoints import states
from tests.checkpoints.damages import DAMAGES, break_newest
from tests.checkpoints.states import names, restore
from vidtx.checkpoints import CheckpointStore
from vidtx.errors import CheckpointError

# Orbax leaves coroutines unawaited where one of many reads fails.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning"
)


def files(workdir, step=2):
    return sorted(
        path for path in (workdir / "checkpoints" / str(step)).rglob("*") if path.is_file()
    )


def after(damage, saved, folder):
    """How the run goes on after damage to each file of state 2 in turn."""
    outcomes = {}
    for number, original in enumerate(files(saved)):
        workdir = shutil.copytree(saved, folder / str(number))
        name = str(original.relative_to(saved))
        DAMAGES[damage](workdir / name)
        try:
            (step, restored), notes = restore(workdir)
            states.assert_equal(restored, states.state(step))
        except AssertionError:
            outcomes[name] = "wrong numbers"
            continue
        except Exception as error:
            outcomes[name] = f"{type(error).__name__}: {str(error)[:80]}"
            continue
        aside = "damaged-2" in names(workdir)
        told = len(notes) == 1 and "damaged-2" in notes[0]
        outcomes[name] = {(2, False, False): "not needed", (1, True, True): "set aside"}.get(
            (step, aside, told), f"state {step}, {aside=}, {told=}"
        )
    gc.collect()  # so that what Orbax leaves behind is complained of here
    return outcomes


@pytest.mark.parametrize(
    "damage",
    DAMAGES,
)
def test_damage_to_any_file_costs_one_checkpoint_at_most(saved, tmp_path, damage):
    outcomes = after(damage, saved, tmp_path)
    wrong = {
        name: outcome for name, outcome in outcomes.items()
        if outcome not in ("not needed", "set aside")
    }  # fmt: skip
    assert not wrong, json.dumps(wrong, indent=1)
    assert "set aside" in outcomes.values()


def test_a_damaged_checkpoint_is_set_aside_and_named(copied):
    break_newest(copied)
    (step, restored), notes = restore(copied)
    assert step == 1
    states.assert_equal(restored, states.state(1))
    assert names(copied) == ["1", "damaged-2"]
    (note,) = notes
    assert note.startswith("Checkpoint 2 is damaged (")
    assert note.endswith(f"it is set aside as {copied / 'checkpoints' / 'damaged-2'}.")
    # The next process has nothing to complain of.
    (step, _), notes = restore(copied)
    assert (step, notes) == (1, [])


def test_the_step_that_was_damaged_can_be_saved_again(copied):
    break_newest(copied)
    with CheckpointStore(copied, keep=2, note=lambda text: None) as store:
        store.restore_newest(states.abstract())
        store.save(2, states.state(2))
        store.wait()
        assert store.steps == [1, 2]
    (step, restored), _ = restore(copied)
    assert step == 2
    states.assert_equal(restored, states.state(2))


def test_a_step_that_is_damaged_twice_is_kept_twice(copied):
    for _ in range(2):
        break_newest(copied)
        with CheckpointStore(copied, note=lambda text: None) as store:
            store.restore_newest(states.abstract())
            store.save(2, states.state(2))
    assert names(copied) == ["1", "2", "damaged-2", "damaged-2-2"]


def test_an_empty_folder_is_no_checkpoint(copied):
    (copied / "checkpoints" / "3").mkdir()
    (step, restored), _ = restore(copied)
    assert step == 2
    states.assert_equal(restored, states.state(2))
    with CheckpointStore(copied) as store:
        store.save(3, states.state(3))
    assert restore(copied)[0][0] == 3


def test_a_checkpoint_of_another_step_is_not_believed(copied):
    shutil.copytree(copied / "checkpoints" / "1", copied / "checkpoints" / "7")
    (step, _), notes = restore(copied)
    assert step == 2
    assert len(notes) == 1
    assert "damaged-7" in names(copied)


def test_if_all_are_damaged_that_is_told(copied):
    break_newest(copied, 1)
    break_newest(copied, 2)
    # And told again by the next process, which must not begin anew in silence.
    for first in ("2 (", "damaged-1, damaged-2"):
        with pytest.raises(CheckpointError) as caught:
            restore(copied)
        assert caught.value.exit_code == 6
        place = copied / "checkpoints"
        assert str(caught.value).startswith(
            f"No checkpoint in {place} can be read; damaged are {first}"
        )
        assert names(copied) == ["damaged-1", "damaged-2"]


def test_a_store_for_reading_changes_nothing(copied):
    break_newest(copied)
    (copied / "checkpoints" / "3.orbax-checkpoint-tmp").mkdir()  # a save under way elsewhere
    before = names(copied)
    notes = []
    with CheckpointStore(copied, read_only=True, note=notes.append) as store:
        step, state = store.restore_newest(states.abstract())
    assert step == 1
    states.assert_equal(state, states.state(1))
    assert "passed over" in notes[0]
    assert names(copied) == before


def test_another_model_s_checkpoints_are_left_alone(copied):
    with CheckpointStore(copied, note=lambda text: None) as store, pytest.raises(CheckpointError):
        store.restore_newest(states.abstract(num_classes=5))
    assert names(copied) == ["1", "2"]


def test_another_type_is_not_taken_in_silence(copied):
    half = jax.tree.map(
        lambda leaf: leaf.update(dtype=jnp.bfloat16) if leaf.dtype == jnp.float32 else leaf,
        states.abstract(),
    )
    with CheckpointStore(copied, note=lambda text: None) as store, pytest.raises(CheckpointError):
        store.restore_newest(half)


def test_fields_that_hold_no_arrays_may_come_and_go(tmp_path):
    # As when a later version keeps averaged weights, which this run has none of.
    with CheckpointStore(tmp_path / "before") as store:
        store.save(4, states.fields(states.state(4)))
    with CheckpointStore(tmp_path / "after") as store:
        store.save(4, states.fields(states.state(4)) | {"later": None, "more": ()})
    for workdir in ("before", "after"):
        (step, restored), notes = restore(tmp_path / workdir)
        assert (step, notes) == (4, [])
        states.assert_equal(restored, states.state(4))


def test_a_checkpoint_that_is_deleted_while_it_is_read_is_no_damage(copied):
    notes = []
    with CheckpointStore(copied, read_only=True, note=notes.append) as store:
        shutil.rmtree(copied / "checkpoints" / "2")  # by the run that goes on
        step, _ = store.restore_newest(states.abstract())
    assert (step, notes) == (1, [])
