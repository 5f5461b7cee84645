"""What weights ask of whoever uses them goes with each checkpoint."""

import dataclasses
import shutil

import pytest

from tests.checkpoints import states
from tests.tiny_run import tiny_config
from tests.weights import sources
from vidtx.checkpoints import BestStore, CheckpointStore, restore_weights
from vidtx.config import resolve
from vidtx.errors import CheckpointError, ConfigError
from vidtx.run.contract import check_contract, contract_of, head_taken

CONTRACT = {"data.mean": [0.45, 0.5, 0.25], "data.target_fps": None, "class_names": ["Å", "b"]}


def contract(path):
    return restore_weights(path, note=lambda _: None).contract


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


def source(contract, **options):
    """Weights of 5 classes."""
    made = sources.of("joint", **options)
    return dataclasses.replace(
        made, path="RUN/checkpoints/7", layout="vidtx checkpoint", contract=contract
    )


def checked(weights_contract, spec):
    """The notes that a run makes which begins with weights of this contract."""
    notes = []
    check_contract(source(weights_contract), spec, notes.append)
    return notes


def test_alike_or_unknown_is_nothing_to_speak_of(spec):
    assert checked(contract_of(spec, ("a", "b"), "f"), spec) == []
    assert checked({}, spec) == []
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


def test_weights_of_other_libraries_are_compared_as_far_as_they_say_it(spec):
    theirs = dataclasses.replace(source({"data.channel_order": "bgr"}), layout="tiny", path="x.npz")
    with pytest.raises(ConfigError) as caught:
        check_contract(theirs, spec, pytest.fail)
    message = str(caught.value)
    assert "  - data.channel_order: 'bgr' then, 'rgb' now\n" in message
    assert "data.mean" not in message
    assert "vidtx convert x.npz COPY" in message


def test_a_head_of_other_classes_begins_anew(spec):
    names = ("a", "b", "c", "d", "e")
    weights = source(contract_of(spec, names, "f"))
    assert head_taken(weights, 5, names) == (True, None)
    taken, told = head_taken(weights, 5, ("a", "b", "x", "d", "e"))
    assert not taken
    assert told == (
        "The head is not taken from RUN/checkpoints/7, it begins anew: its class 2 is 'c', and "
        "that of this data set 'x'."
    )
    taken, told = head_taken(weights, 3, ("a", "b", "c"))
    assert not taken
    assert told.endswith("it is of 5 classes, and this data set has 3.")


def test_a_head_of_unknown_classes_is_taken_if_they_are_as_many(spec):
    names = ("a", "b", "c", "d", "e")
    taken, told = head_taken(source({}), 5, names)
    assert taken
    assert "the names of these weights are not on record" in told
    taken, told = head_taken(source(contract_of(spec, names, "f")), 5, None)
    assert taken
    assert "the names of this data set are not on record" in told
    assert head_taken(source({}), 6, tuple("abcdef"))[0] is False
    assert head_taken(source({}, head=False), 5, names) == (False, None)


def test_the_head_of_an_image_model_is_never_taken():
    taken, told = head_taken(sources.image(), 5, tuple("abcde"))
    assert not taken
    assert told.endswith("it tells 5 kinds of pictures apart.")
