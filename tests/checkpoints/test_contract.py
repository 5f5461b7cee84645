"""What weights ask of whoever uses them goes with each checkpoint."""

import dataclasses
import shutil

import pytest

from tests.checkpoints import states
from tests.tiny_run import tiny_config
from vidtx.checkpoints import BestStore, CheckpointStore, Weights, restore_weights
from vidtx.config import resolve
from vidtx.errors import CheckpointError, ConfigError
from vidtx.run.contract import check_contract, contract_of, with_fitting_head

CONTRACT = {"data.mean": [0.45, 0.5, 0.25], "data.target_fps": None, "class_names": ["Å", "b"]}


def contract(path):
    return restore_weights(path, states.abstract().params, note=lambda _: None).contract


def test_every_checkpoint_has_it_and_one_alone_too(tmp_path):
    with (
        CheckpointStore(tmp_path, contract=CONTRACT) as store,
        BestStore(tmp_path, keep=1, contract=CONTRACT) as best,
    ):
        store.save(3, states.state(3))
        best.offer(3, 0.5, states.state(3))
    alone = shutil.copytree(tmp_path / "checkpoints" / "3", tmp_path / "elsewhere" / "3")
    for path in (tmp_path, tmp_path / "best", alone):
        assert contract(path) == CONTRACT
    (step, restored), notes = states.restore(tmp_path)
    assert (step, notes) == (3, [])
    states.assert_equal(restored, states.state(3))

    (alone / "contract" / "metadata").write_text('{"data.mean": [0.4')
    with pytest.raises(CheckpointError, match=r"3/contract, .* is damaged: .*Restore it"):
        contract(alone)


def test_older_checkpoints_have_none(saved):
    assert contract(saved) is None


@pytest.fixture(scope="module")
def spec():
    return resolve(tiny_config("data"))


def checked(weights_contract, spec):
    """The notes that a run makes which begins with weights of this contract."""
    notes = []
    weights = Weights("RUN/checkpoints/7", 7, False, {}, [], [], [], weights_contract)
    check_contract(weights, spec, notes.append)
    return notes


def test_alike_or_unknown_is_nothing_to_speak_of(spec):
    assert checked(contract_of(spec, ("a", "b"), "f"), spec) == []
    assert checked(None, spec) == []
    assert checked({"from": "a later version"}, spec) == []


def test_other_colours_are_refused_and_other_sampling_is_noted(spec):
    def changed(**options):
        return dataclasses.replace(spec, data=dataclasses.replace(spec.data, **options))

    now = changed(frames=16, target_fps=12.0)
    (note,) = checked(contract_of(spec, ("a", "b"), "f"), now)
    assert note.splitlines() == [
        "NOTE: the weights of RUN/checkpoints/7 were trained with other options:",
        "  - data.frames: 4 then, 16 now",
        "  - data.target_fps: None then, 12.0 now",
    ]
    for options in ({"std": (0.2, 0.2, 0.3)}, {"channel_order": "bgr"}, {"mean": (0.0, 0.0, 0.0)}):
        ((name, _),) = options.items()
        with pytest.raises(ConfigError, match=rf"  - data\.{name}: .* then, .* now(.|\n)*alike"):
            checked(contract_of(spec, ("a", "b"), "f"), changed(**options))


def test_a_head_of_other_classes_begins_anew(spec):
    taken = {"head.kernel": 1, "head.bias": 2, "block_0.norm.scale": 3}
    of_ab = contract_of(spec, ("a", "b"), "f")
    weights = Weights("RUN/checkpoints/7", 7, False, taken, [], [], [], of_ab)
    notes = []
    assert with_fitting_head(weights, ("a", "b"), notes.append).taken == taken
    older = dataclasses.replace(weights, contract=None)
    assert with_fitting_head(older, ("b", "a"), notes.append).taken == taken
    assert notes == []
    other = with_fitting_head(weights, ("a", "c"), notes.append)
    assert other.taken == {"block_0.norm.scale": 3}
    (note,) = notes
    assert "its class 1 is 'b', and that of this data set 'c'" in note
