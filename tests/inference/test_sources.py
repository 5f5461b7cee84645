"""Weights by any name: a run, one checkpoint, another library's file."""

import json
import shutil

import jax
import numpy as np
import pytest

from tests.models import tiny
from tests.parity import foreign
from tests.tiny_run import tiny_config
from tests.weights import published, sources
from vidtx.checkpoints import BestStore, CheckpointStore
from vidtx.config import resolve, to_dict
from vidtx.errors import CheckpointError, ConfigError
from vidtx.inference import open_source
from vidtx.inference.load import nested
from vidtx.inference.recorded import RECORDED
from vidtx.inference.sources import is_foreign, open_for, read_checkpoint
from vidtx.weights import Architecture, fit

# Orbax leaves coroutines unawaited where a checkpoint is damaged.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# As a run saves it with the weights of `tests.models.tiny`.
CONTRACT = {
    "model.name": f"timesformer_ti{tiny.PATCH}",
    "model.scheme": "divided",
    "model.position_embedding": "space_time",
    "model.embed_dim": tiny.DIM,
    "model.depth": tiny.DEPTH,
    "model.num_heads": tiny.HEADS,
    "data.image_size": [tiny.GRID[1] * tiny.PATCH, tiny.GRID[2] * tiny.PATCH],
    "data.frames": tiny.GRID[0],
    "data.channel_order": "bgr",
    "class_names": list("abcde"),
}


def state(step, scheme="divided", **options):
    """A state of a run, as far as it is asked for; the weights are those of `sources.of`."""
    params = sources.of(scheme, **options).params
    return {"step": np.int32(step), "params": nested(params)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory whose checkpoint tells everything; not to be changed."""
    workdir = tmp_path_factory.mktemp("run")
    with CheckpointStore(workdir, contract=CONTRACT) as store:
        store.save(3, state(3))
    return workdir


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """A run directory of before contracts were saved, averaged, with a best state.

    Files of the run tell what its checkpoints do not.
    """
    workdir = tmp_path_factory.mktemp("older")
    weights = state(4, "joint")
    averaged = {name: leaf * 2 for name, leaf in sources.of("joint").params.items()}
    with CheckpointStore(workdir) as store, BestStore(workdir, keep=1) as best:
        store.save(4, weights | {"ema": nested(averaged)})
        best.offer(4, 0.5, weights)
    config = {"model": {}, "data": {"data_dir": "somewhere"}, "train": {"steps": 4}}
    for option, value in CONTRACT.items():
        group, _, name = option.partition(".")
        if name:
            config[group][name] = value
    config["model"]["scheme"] = "joint"
    (workdir / "config.json").write_text(json.dumps(config))
    dataset = {"name": "five", "fingerprint": "f", "class_names": list("abcde")}
    (workdir / "dataset.json").write_text(json.dumps(dataset))
    return workdir


def assert_same(params, expected):
    assert params.keys() == expected.keys()
    for name, leaf in expected.items():
        np.testing.assert_array_equal(params[name], leaf, err_msg=name)


def test_a_run_gives_all_of_its_newest_weights_and_what_it_asks_for(run):
    expected = sources.of("divided")
    for path in (run, str(run), run / "checkpoints" / "3"):
        source = open_source(path)
        assert source.path == str(run / "checkpoints" / "3")
        assert source.layout == "vidtx checkpoint"
        assert_same(source.params, expected.params)
        assert source.architecture == expected.architecture
        assert source.contract == CONTRACT
        assert {entry.ours for entry in source.report.of("used")} == expected.params.keys()
        assert len(source.report.entries) == len(expected.params)
        assert source.report.notes == ()
    assert fit(source, source.architecture.create()).report.counts["used"] == len(expected.params)


def test_averaged_weights_are_preferred_and_told(older):
    source = open_source(older)
    assert_same(source.params, {k: 2 * v for k, v in sources.of("joint").params.items()})
    assert source.report.notes == ("They are the averaged weights of step 4.",)
    best = open_source(older / "best")
    assert best.path == str(older / "best" / "4")
    assert_same(best.params, sources.of("joint").params)


def test_an_older_checkpoint_is_told_by_its_run(older):
    source = open_source(older)
    assert source.architecture == sources.of("joint").architecture
    assert source.contract == CONTRACT | {
        "model.scheme": "joint", "dataset": "five", "fingerprint": "f"
    }  # fmt: skip
    assert open_source(older, channel_order="rgb").contract["data.channel_order"] == "rgb"


def test_of_a_checkpoint_alone_that_says_nothing_what_is_missing_is_told(older, tmp_path):
    alone = shutil.copytree(older / "best" / "4", tmp_path / "4")
    with pytest.raises(CheckpointError) as caught:
        open_source(alone)
    assert (
        f"Nothing is on record of num_heads, image_size of the weights of {alone}: neither the "
        "folder `contract` of the checkpoint nor config.json of its run is there. Give "
        "num_heads=… and image_size=…, or put either back."
    ) == str(caught.value)
    given = open_source(alone, num_heads=tiny.HEADS, image_size=(8, 16))
    assert given.architecture == sources.of("joint").architecture
    with pytest.raises(ConfigError, match=r"num_heads is 3, but the weights of .* are 16 wide"):
        open_source(alone, num_heads=3, image_size=(8, 16))
    # A model may say it.
    like = read_checkpoint(alone, like=tiny.create("divided"))
    assert like.architecture == sources.of("joint").architecture
    (note,) = like.report.notes
    assert "taken for scheme joint, num_heads 2, image_size (8, 16)" in note


def test_the_scheme_is_told_by_the_steps_unless_two_have_the_same(tmp_path):
    def opened(scheme, like=None, **options):
        workdir = tmp_path / scheme
        with CheckpointStore(workdir) as store:
            store.save(1, state(1, scheme, **options))
        return read_checkpoint(workdir, like=like, num_heads=2, image_size=(8, 16)).architecture

    assert opened("axial", depth=1).scheme == "axial"
    with pytest.raises(CheckpointError, match="Nothing is on record of scheme of the weights"):
        opened("space", depth=1)
    shutil.rmtree(tmp_path / "space")
    found = opened("space", tiny.create("joint", position_embedding="space"), depth=1)
    assert found == Architecture(
        "joint", tiny.DIM, 1, tiny.HEADS, tiny.PATCH, (8, 16), tiny.GRID[0], tiny.CLASSES, "space"
    )


def test_what_is_chosen_is_read_and_the_rest_keeps_its_shape(run):
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    source = read_checkpoint(run, lambda source: {"norm.scale": place})
    assert isinstance(source.params["norm.scale"], jax.Array)
    assert source.params["norm.bias"] == jax.ShapeDtypeStruct((tiny.DIM,), np.float32)


def test_files_of_a_run_that_are_damaged_are_told(older, tmp_path):
    workdir = shutil.copytree(older, tmp_path / "run")
    (workdir / "config.json").write_text('{"model": ')
    with pytest.raises(CheckpointError, match=r"config.json, which says .* is damaged"):
        open_source(workdir)


def test_what_is_of_no_model_of_ours_is_told(tmp_path):
    with CheckpointStore(tmp_path) as store:
        store.save(1, {"step": np.int32(1), "params": {"dense": {"bias": np.zeros(3)}}})
    with pytest.raises(CheckpointError) as caught:
        open_source(tmp_path)
    assert "they lack block_0.norm1.scale, embedding.class_token, embedding.patch" in str(
        caught.value
    )


def test_what_is_not_there_is_told_with_all_that_may_be_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no file or folder .*absent\. Name .* or hf:OWNER/NAME"):
        open_source(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"gcloud storage cp gs://bucket/vit.npz \."):
        open_source("gs://bucket/vit.npz")
    with pytest.raises(CheckpointError, match="holds no checkpoints"):
        open_source(tmp_path)


def test_another_library_s_folder_is_read_by_its_own_config(tmp_path):
    model = "divided_space_time"
    folder = foreign.write(tmp_path / "hf", model, foreign.weights(foreign.shapes_of(model)))
    source = open_source(folder)
    assert (source.path, source.architecture.scheme) == (str(folder), "divided")
    assert source.contract["class_names"][1] == "class 1"


def test_what_a_file_does_not_tell_the_model_does(tmp_path):
    """timm's files tell neither heads nor sizes; those of a width of 24 cannot be guessed."""
    arrays = foreign.weights(foreign.shapes_of("timm_vit"))
    path = foreign.write(tmp_path, "timm_vit", arrays)
    with pytest.raises(CheckpointError, match="num_heads"):
        open_source(path)
    size = foreign.TINY
    architecture = open_source(path, num_heads=size.heads).architecture
    model = architecture.create(scheme="divided", num_frames=4, image_size=24)
    for shapes_only in (False, True):
        source = open_for(path, model, shapes_only=shapes_only)
        assert source.architecture == architecture
        assert any("the model's num_heads 2 is taken" in note for note in source.report.notes)
    assert isinstance(source.params["norm.scale"], jax.ShapeDtypeStruct)
    # If that does not help either, the first complaint is told.
    with pytest.raises(CheckpointError, match="give num_heads"):
        open_for(path, model.clone(num_heads=5))


def test_the_model_s_heads_stand_before_a_guess(tmp_path):
    ours = published.params("space", dim=64)
    path = published.save(tmp_path / "vit.safetensors", published.timm(ours))
    guessed = open_source(path)
    assert guessed.architecture.num_heads == 1  # 64 wide
    assert any("num_heads=… says otherwise" in note for note in guessed.report.notes)
    model = guessed.architecture.create(num_heads=4)
    source = open_for(path, model)
    assert source.architecture.num_heads == 4
    assert [note for note in source.report.notes if "heads" in note] == [
        "Nothing tells the number of heads; the model's num_heads 4 is taken."
    ]
    # What files say stands before the model.
    path = published.save(tmp_path / "vit.npz", published.google(published.params("space")))
    model = open_source(path).architecture.create(num_heads=8)
    assert open_for(path, model).architecture.num_heads == published.HEADS


def test_other_files_in_a_run_do_not_make_it_another_library_s(older, tmp_path):
    vit = published.google(published.params("space"))
    copy = shutil.copytree(older, tmp_path / "run")
    for folder in (copy, copy / "checkpoints", copy / "checkpoints" / "4", copy / "best"):
        stray = published.save(folder / "vit.npz", vit)
        assert open_source(folder).layout == "vidtx checkpoint"
        assert open_source(stray).architecture.is_image_model
    # Others call their folders so as well.
    for name in ("best", "3", "checkpoints"):
        (tmp_path / name).mkdir()
        published.save(tmp_path / name / "vit.npz", vit)
        assert open_source(tmp_path / name).architecture.is_image_model


def test_runs_in_buckets_may_have_dots_in_their_names():
    for name in ("gs://bucket/runs/k400_lr0.005", "gs://bucket/runs/v1.0"):
        assert not is_foreign(name)
    for name in ("gs://bucket/vit.npz", "gs://bucket/a.pyth"):
        with pytest.raises(ConfigError, match=f"gcloud storage cp {name}"):
            is_foreign(name)


def test_what_is_recorded_are_options_of_a_run():
    options = to_dict(resolve(tiny_config("data")))
    assert len(set(RECORDED)) == len(RECORDED)
    for option in RECORDED:
        group, name = option.split(".")
        assert name in options[group]
