"""What people who train expect, through the door: each option does what it says."""

import json
import shutil

import numpy as np
import pytest

from tests.parity import foreign
from tests.tiny_run import arguments
from vidtx import main
from vidtx.checkpoints import CheckpointStore, restore_weights
from vidtx.reporting import read_metrics

OPTIONS = {
    "train.steps": 6,
    "train.ema_decay": 0.9,
    "eval.every_steps": 1,
    "checkpoint.every_steps": None,
    "checkpoint.every_examples": 16,
    "checkpoint.keep": 1,
    "checkpoint.keep_every_steps": 4,
    "checkpoint.keep_best": 1,
    "profile.first_step": 3,
    "profile.steps": 2,
}


@pytest.fixture(scope="module")
def averaged(motions_dir, tmp_path_factory):
    """The directory of a run with most options on."""
    workdir = tmp_path_factory.mktemp("runs") / "averaged"
    assert main.main(arguments(motions_dir, workdir, **OPTIONS)) == 0
    return workdir


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def best_step(workdir):
    records = read_metrics(workdir / "metrics.jsonl")
    scores = {record["step"]: record["eval/top1"] for record in records if "eval/top1" in record}
    return max(scores, key=lambda step: (scores[step], -step))


def test_the_newest_the_multiples_and_the_best_states_are_kept(averaged):
    assert steps_in(averaged / "checkpoints") == [4, 6]
    assert steps_in(averaged / "best") == [best_step(averaged)]


def test_the_profiled_steps_leave_a_trace(averaged):
    traces = list((averaged / "profile").rglob("*.xplane.pb"))
    assert len(traces) == 1
    assert traces[0].stat().st_size > 1000


def test_the_best_state_can_be_judged_again(averaged, motions_dir, capsys):
    command = arguments(motions_dir, averaged, **OPTIONS | {"eval.state": "best"})
    assert main.main([*command, "--mode=eval"]) == 0
    assert f"state {best_step(averaged)}: 16 of 16" in capsys.readouterr().out
    assert json.loads((averaged / "evaluation.json").read_text())["step"] == best_step(averaged)


def test_a_run_that_kept_no_best_state_says_so(motions_dir, tmp_path, capsys):
    workdir = tmp_path / "run"
    assert main.main(arguments(motions_dir, workdir, **{"train.steps": 2})) == 0
    command = arguments(motions_dir, workdir, **{"train.steps": 2, "eval.state": "best"})
    assert main.main([*command, "--mode=eval"]) == 6
    assert "checkpoint.keep_best" in capsys.readouterr().err


def test_a_run_begins_with_the_weights_of_another(averaged, motions_dir, tmp_path, capsys):
    def first_score(name, **options):
        """Top-1 after one step at a rate that changes next to nothing."""
        still = {"train.steps": 1, "optimizer.warmup_steps": 0, "optimizer.learning_rate": 1e-12}
        workdir = tmp_path / name
        assert main.main(arguments(motions_dir, workdir, **still | options)) == 0
        return json.loads((workdir / "evaluation.json").read_text())["loss"]

    wanted = read_metrics(averaged / "metrics.jsonl")[-1]["eval/loss"]
    assert first_score("from_newest", **{"train.init_from": averaged}) == pytest.approx(wanted)
    said = capsys.readouterr().out
    assert f"Begins with the weights of {averaged}/checkpoints/6 (vidtx checkpoint):\n" in said
    assert "NOTE: They are the averaged weights of step 6.\n" in said
    assert first_score("afresh") != pytest.approx(wanted)


def test_a_run_of_another_scheme_and_other_clips_begins_with_them_too(
    averaged, motions_dir, tmp_path, capsys
):
    workdir = tmp_path / "run"
    options = {
        "train.init_from": averaged / "best",
        "train.init_resize": "bilinear",
        "train.steps": 1,
        "optimizer.warmup_steps": 0,
        "model.scheme": "axial",
        "data.frames": 2,
        "data.image_size": "(24, 40)",
    }
    assert main.main(arguments(motions_dir, workdir, **options)) == 0
    said = capsys.readouterr().out
    for line in (
        "resized  embedding.position: 4×4 → 3×5 patches, bilinear in 2-D",
        "resized  embedding.time: 4 → 2 frames, the nearest",
        "copied   block_*.width.norm.bias from block_*.norm1.bias: the weights have no width step",
        "NOTE: The weights were trained with divided attention, and the model has axial.",
    ):
        assert said.count(f"  {line}\n") == 1
    written = json.loads((workdir / "init_from.json").read_text())
    assert written["source"] == str(averaged / "best" / str(best_step(averaged)))
    assert written["architecture"]["scheme"] == "divided"
    assert (written["resize"], written["counts"]["resized"]) == ("bilinear", 2)
    fates = {entry["ours"]: entry["fate"] for entry in written["entries"]}
    assert (fates["head.kernel"], fates["block_0.width.fc.kernel"]) == ("used", "new")


def test_a_run_begins_with_another_library_s_weights_and_goes_on_without_them(
    motions_dir, tmp_path, capsys
):
    """What it begins with is saved at once, as it may be another when the run is killed early."""
    size = foreign.Size(dim=32, depth=1, heads=2, patch=8, grid=(1, 2, 2), classes=8)
    arrays = foreign.weights(foreign.shapes_of("timm_vit", size))
    path = foreign.write(tmp_path / "library", "timm_vit", arrays, size)
    workdir = tmp_path / "run"
    command = arguments(
        motions_dir,
        workdir,
        **{"train.init_from": path, "train.steps": 2, "checkpoint.every_steps": 1},
        **{"checkpoint.keep": 9, "optimizer.warmup_steps": 0, "optimizer.learning_rate": 1e-12},
    )
    assert main.main(command) == 0
    said = capsys.readouterr().out
    assert f"Begins with the weights of {path} (" in said
    assert "NOTE: The head is not taken" in said  # of as many classes, but of pictures
    with CheckpointStore(workdir, read_only=True) as store:
        assert store.steps == [0, 1, 2]
    params = restore_weights(workdir / "checkpoints" / "0").taken
    np.testing.assert_array_equal(params["norm.scale"], arrays["norm.weight"])
    for name in ("attention", "time.attention"):
        kernel = params[f"block_0.{name}.qkv.kernel"]
        np.testing.assert_array_equal(kernel, arrays["blocks.0.attn.qkv.weight"].T)
    assert not params["block_0.time.fc.kernel"].any()
    assert np.abs(params["head.kernel"]).max() > 0
    shutil.rmtree(tmp_path / "library")
    shutil.rmtree(workdir / "checkpoints" / "2")
    assert main.main(command) == 0
    assert "Going on after step 1." in capsys.readouterr().out
    # Weights of which too little is left are needed again, and missed.
    for step in (0, 1, 2):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    assert main.main(command) == 2
    assert f"There is no file or folder {path}" in capsys.readouterr().err


def test_the_best_states_are_not_compared_with_those_judged_in_another_way(
    averaged, motions_dir, capsys
):
    options = OPTIONS | {"eval.average": "logits"}
    assert main.main(arguments(motions_dir, averaged, **options)) == 2
    assert "eval.average: 'softmax' then, 'logits' now" in capsys.readouterr().err


def test_a_damaged_evaluation_is_made_again(motions_dir, tmp_path):
    workdir = tmp_path / "run"
    command = arguments(motions_dir, workdir, **{"train.steps": 2})
    assert main.main(command) == 0
    whole = (workdir / "evaluation.json").read_text()
    (workdir / "evaluation.json").write_text("{")
    assert main.main(command) == 0
    assert (workdir / "evaluation.json").read_text() == whole


def test_weights_that_are_not_there_stop_a_run_before_it_takes_its_directory(
    averaged, motions_dir, tmp_path, capsys
):
    command = arguments(motions_dir, tmp_path / "run", **{"train.init_from": tmp_path / "nowhere"})
    assert main.main(command) == 2
    assert f"There is no file or folder {tmp_path / 'nowhere'}. Name" in capsys.readouterr().err
    other = {"train.init_from": averaged, "model.embed_dim": 16}
    assert main.main(arguments(motions_dir, tmp_path / "run", **other)) == 6
    assert "not of this model" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_batch_is_learnt_by_heart(motions_dir, tmp_path):
    options = {
        "debug.one_batch": True,
        "train.epochs": 15.0,  # of 32 videos
        "train.steps": None,
        "train.log_every_steps": 10,
        "optimizer.learning_rate": 0.01,
        "checkpoint.every_steps": 1000,
    }
    assert main.main(arguments(motions_dir, tmp_path / "run", **options)) == 0
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    trained = [record for record in records if "train/loss" in record]
    assert trained[-1]["step"] == 60
    assert trained[-1]["train/accuracy"] == 1.0
    assert trained[-1]["train/loss"] < 0.1 < trained[0]["train/loss"]


def test_the_operation_that_makes_the_first_nan_is_named(motions_dir, tmp_path, capsys):
    options = {
        "debug.check_nans": True,
        "optimizer.name": "sgd",
        "optimizer.learning_rate": 1e30,
        "optimizer.clip_norm": None,
        "optimizer.warmup_steps": 0,
    }
    assert main.main(arguments(motions_dir, tmp_path / "run", **options)) == 3
    message = capsys.readouterr().err
    assert "nan" in message
    assert "First made in " in message
    assert ".py:" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer.freeze": "('nothing/.*',)"}, "nothing/.*"),
        ({"optimizer.groups": "(('head/.*', 10.0),)"}, "optimizer.groups is"),
        ({"train.init_from": ""}, "train.init_from is ''"),
        ({"optimizer.groups": "(('head/.*', 1.0, 1.0),)"}, "block_0/attention/qkv/kernel"),
        ({"train.accumulate": 3}, "train.global_batch is 8; it must be a multiple of"),
        ({"train.mixup": 0.8, "train.global_batch": 5}, "in pairs"),
        ({"profile.first_step": 4}, "profile.first_step is 4, but the run ends after step 4"),
        ({"train.epochs": 2.0}, "exactly one of the three"),
        ({"data.multi_label": True}, "multi_label"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(
    motions_dir, tmp_path, capsys, options, message
):
    assert main.main(arguments(motions_dir, tmp_path / "run", **options)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_is_frozen_and_scaled_is_printed_before_the_run_starts(motions_dir, tmp_path, capsys):
    options = {"optimizer.freeze": "('embedding/.*',)", "optimizer.layer_decay": 0.5}
    assert main.main(arguments(motions_dir, tmp_path / "run", **options)) == 0
    table = capsys.readouterr().out
    assert "frozen" in table
    assert "block_0" in table
