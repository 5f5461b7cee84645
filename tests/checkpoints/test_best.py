import json
import math
import shutil

import pytest

from tests.checkpoints import states
from tests.checkpoints.damages import DAMAGES, break_newest
from tests.checkpoints.killing import kill_amid
from tests.checkpoints.states import names
from vidtx.checkpoints import BestStore
from vidtx.errors import CheckpointError

# Orbax leaves coroutines unawaited where one of many reads fails.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning"
)


def offer(workdir, scores, keep=2):
    """Offers the states of a table of scores in its order; tells which were taken."""
    with BestStore(workdir, keep=keep) as best:
        return [
            step for step, score in scores.items() if best.offer(step, score, states.state(step))
        ]


def best_of(workdir, **options):
    """What a new process takes for the best, and the notes that it makes."""
    notes = []
    with BestStore(workdir, note=notes.append, **options) as best:
        return best.restore_best(states.abstract()), notes


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A run directory with two best states, 3 before 1; not to be changed."""
    workdir = tmp_path_factory.mktemp("run")
    offer(workdir, {1: 0.5, 2: 0.25, 3: 0.75})
    return workdir


@pytest.fixture
def copied(judged, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(judged, tmp_path / "run")


def test_the_best_are_kept_with_their_scores(judged):
    assert names(judged, "best") == ["1", "3"]
    with BestStore(judged, read_only=True) as best:
        assert list(best.scores.items()) == [(3, 0.75), (1, 0.5)]
        assert best.best_step == 3
    (step, restored), notes = best_of(judged, read_only=True)
    assert (step, notes) == (3, [])
    states.assert_equal(restored, states.state(3))


def test_what_is_not_good_enough_is_not_saved(tmp_path):
    assert offer(tmp_path, {1: 0.5, 2: 0.6, 3: 0.4, 4: 0.55, 5: 0.5}) == [1, 2, 4]
    assert names(tmp_path, "best") == ["2", "4"]


def test_of_equal_scores_the_earlier_step_stays(tmp_path):
    assert offer(tmp_path, {1: 0.5, 2: 0.5, 3: 0.5}) == [1, 2]
    assert best_of(tmp_path)[0][0] == 1


def test_no_number_is_no_score(tmp_path):
    assert offer(tmp_path, {1: math.nan, 2: 0.0, 3: math.nan}, keep=3) == [2]
    assert names(tmp_path, "best") == ["2"]


def test_infinite_scores_are_scores(tmp_path):
    assert offer(tmp_path, {1: -math.inf, 2: 0.0, 3: math.inf}) == [1, 2, 3]
    with BestStore(tmp_path, read_only=True) as best:
        assert best.scores == {3: math.inf, 2: 0.0}


def test_a_step_may_be_offered_again(copied):
    assert offer(copied, {3: 0.75, 1: 0.5, 2: 0.25}) == [3, 1]
    assert names(copied, "best") == ["1", "3"]
    states.assert_equal(best_of(copied)[0][1], states.state(3))


def test_a_run_that_fell_back_finds_its_later_best_and_offers_older_steps(tmp_path):
    offer(tmp_path, {8: 0.8, 9: 0.6})
    assert offer(tmp_path, {5: 0.7, 6: 0.65, 8: 0.8}) == [5, 8]
    with BestStore(tmp_path, read_only=True) as best:
        assert best.scores == {8: 0.8, 5: 0.7}
    states.assert_equal(best_of(tmp_path)[0][1], states.state(8))


def test_what_is_too_many_goes_with_the_next_offer(copied):
    # As after a process that was killed before it deleted, or with a smaller number to keep.
    assert offer(copied, {4: 0.1}, keep=1) == []
    assert names(copied, "best") == ["3"]


def test_remains_of_a_deletion_and_of_a_save_are_cleared_away(copied):
    shutil.copytree(copied / "best" / "1", copied / "best" / "deleted-2")
    (copied / "best" / "4.orbax-checkpoint-tmp").mkdir()
    offer(copied, {4: 0.9})
    assert names(copied, "best") == ["3", "4"]


def test_a_store_that_keeps_none_changes_nothing(judged, tmp_path):
    assert offer(tmp_path, {1: 0.5}, keep=0) == []
    assert not (tmp_path / "best").exists()
    assert offer(judged, {7: 1.0}, keep=0) == []
    assert names(judged, "best") == ["1", "3"]


def test_there_may_be_none(tmp_path):
    with BestStore(tmp_path, read_only=True) as best:
        assert best.best_step is None
        assert best.restore_best(states.abstract()) is None


def test_training_on_does_not_disturb_what_was_offered(tmp_path):
    state = states.state(1)
    with BestStore(tmp_path, keep=1) as best:
        best.offer(1, 0.5, state)
        state.params["norm"]["bias"].delete()
    states.assert_equal(best_of(tmp_path)[0][1], states.state(1))


def test_a_damaged_best_is_set_aside_and_the_next_best_used(copied):
    break_newest(copied, 3, "best")
    (step, restored), (note,) = best_of(copied, keep=2)
    assert step == 1
    states.assert_equal(restored, states.state(1))
    assert note.startswith("Checkpoint 3 is damaged (")
    assert names(copied, "best") == ["1", "damaged-3"]
    # Its place is free, also for the same step again.
    assert offer(copied, {3: 0.75}) == [3]
    assert best_of(copied)[0][0] == 3


def test_a_store_for_reading_passes_a_damaged_one_over(copied):
    break_newest(copied, 3, "best")
    (step, _), (note,) = best_of(copied, read_only=True)
    assert step == 1
    assert "passed over" in note
    assert names(copied, "best") == ["1", "3"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_score_is_not_believed(copied, damage):
    DAMAGES[damage](copied / "best" / "3" / "score" / "metadata")
    (step, _), notes = best_of(copied, keep=2)
    assert (step, len(notes)) == (1, 1)
    assert names(copied, "best") == ["1", "damaged-3"]


def test_a_score_that_was_changed_is_not_believed(copied):
    path = copied / "best" / "1" / "score" / "metadata"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"score": 0.9}))
    (step, _), (note,) = best_of(copied, read_only=True)
    assert step == 3
    assert note.startswith("Checkpoint 1 is damaged (its score has changed)")


def test_a_score_of_another_step_is_not_believed(copied):
    shutil.copytree(copied / "best" / "3", copied / "best" / "7")
    (step, _), notes = best_of(copied, read_only=True)
    assert (step, len(notes)) == (3, 1)


def test_if_all_are_damaged_that_is_told(copied):
    break_newest(copied, 1, "best")
    break_newest(copied, 3, "best")
    with pytest.raises(CheckpointError, match="or use the newest state"):
        best_of(copied, read_only=True)


def test_another_model_s_best_are_left_alone(copied):
    with BestStore(copied, keep=2) as best, pytest.raises(CheckpointError, match="another model"):
        best.restore_best(states.abstract(num_classes=5))
    assert names(copied, "best") == ["1", "3"]


@pytest.mark.parametrize("seed", range(3))
def test_a_process_killed_while_offering_costs_no_best_state(tmp_path, seed):
    complete = kill_amid("tests.checkpoints.offer_for_ever", tmp_path, seed)
    with BestStore(tmp_path, keep=1) as best:
        # The one under way may have been finished without its being told.
        assert complete <= best.best_step <= complete + 1
    (step, restored), notes = best_of(tmp_path, read_only=True)
    assert notes == []
    states.assert_equal(restored, states.state(step))
    offer(tmp_path, {step: step / 100, step + 1: (step + 1) / 100}, keep=1)
    assert names(tmp_path, "best") == [str(step + 1)]
