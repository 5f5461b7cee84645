"""A run from its command to its report, in this process."""

import json

import numpy as np
import pytest
from PIL import Image

from data_pipelines import motions
from data_pipelines.records import describe
from tests.faults.processes import figures
from tests.tiny_run import arguments
from vidtx import main


@pytest.fixture(scope="module")
def finished(motions_dir, tmp_path_factory):
    """The directory of a finished run of ten steps, judged after five and after ten."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    command = arguments(motions_dir, workdir, **{"train.steps": 10, "eval.every_steps": 5})
    assert main.main(command) == 0
    return workdir


def test_a_run_directory_holds_what_a_person_wants_to_see(finished, motions_dir):
    config = json.loads((finished / "config.json").read_text())
    assert (config["name"], config["train"]["steps"]) == ("motions_divided", 10)
    dataset = json.loads((finished / "dataset.json").read_text())
    assert dataset["fingerprint"] == describe("motions", motions_dir).fingerprint
    assert dataset["splits"] == {"train": 32, "test": 16}
    for picture in ("contact_sheet", "curves", "confusion"):
        with Image.open(finished / f"{picture}.png") as image:
            assert min(image.size) > 200
    report = (finished / "report.html").read_text()
    assert "motions_divided" in report
    assert report.count("data:image/png;base64,") == 1  # the sheet; charts are drawn in the page
    assert report.count("<video ") >= 8
    assert sorted(p.name for p in (finished / "checkpoints").iterdir()) == ["10", "8"]
    assert list((finished / "tensorboard").iterdir())


def test_metrics_are_written_when_they_should_be(finished):
    records = figures(finished)
    trained = [record for record in records if "train/loss" in record]
    judged = [record for record in records if "eval/top1" in record]
    assert [record["step"] for record in trained] == [2, 4, 6, 8, 10]
    assert [record["step"] for record in judged] == [5, 10]
    assert all(np.isfinite(record["train/loss"]) for record in trained)
    assert all(record["eval/examples"] == 16 for record in judged)


def test_the_evaluation_adds_up(finished):
    evaluation = json.loads((finished / "evaluation.json").read_text())
    confusion = np.array(evaluation["confusion"])
    assert evaluation["step"] == 10
    assert confusion.sum() == evaluation["examples"] == 16
    assert evaluation["top1"] == np.trace(confusion) / 16
    assert confusion.sum(axis=1).tolist() == evaluation["counts"] == [2] * 8
    assert figures(finished)[-1]["eval/top1"] == evaluation["top1"]


def test_the_same_command_on_a_finished_run_changes_nothing(finished, motions_dir, capsys):
    before = (finished / "metrics.jsonl").read_bytes()
    command = arguments(motions_dir, finished, **{"train.steps": 10, "eval.every_steps": 5})
    assert main.main(command) == 0
    assert (finished / "metrics.jsonl").read_bytes() == before
    assert "Finished already, after step 10" in capsys.readouterr().out


def test_eval_mode_finds_the_same_again_for_any_batch_size(finished, motions_dir, capsys):
    before = json.loads((finished / "evaluation.json").read_text())
    overrides = {"train.steps": 10, "eval.every_steps": 5, "eval.global_batch": 7}
    assert main.main([*arguments(motions_dir, finished, **overrides), "--mode=eval"]) == 0
    after = json.loads((finished / "evaluation.json").read_text())
    assert after.pop("loss") == pytest.approx(before.pop("loss"), rel=1e-5)
    for name in ("best", "worst"):  # probabilities are as exact as the arithmetic
        after.pop(name), before.pop(name)
    assert after == before
    output = capsys.readouterr().out
    assert "16 of 16 videos judged" in output
    assert "counterclockwise" in output


def test_eval_mode_needs_no_config_and_takes_options(finished, capsys):
    command = [f"--workdir={finished}", "--mode=eval"]
    assert main.main(command) == 0
    assert "top-1" in capsys.readouterr().out
    assert main.main([*command, "--config.eval.temporal_views=3"]) == 0
    assert json.loads((finished / "evaluation.json").read_text())["temporal_views"] == 3
    assert main.main([*command, "--config.data.max_bad=none"]) == 2


def test_how_often_a_run_is_saved_changes_nothing_of_it(finished, motions_dir, tmp_path):
    half = {"train.steps": 10, "eval.every_steps": 5, "checkpoint.every_steps": 3}
    assert main.main(arguments(motions_dir, tmp_path / "run", **half)) == 0
    assert figures(tmp_path / "run") == figures(finished)


def test_the_embedded_data_set_is_made_on_first_use(tmp_path, capfd):
    (tmp_path / "data" / "motions" / "incomplete.X_1.0.0").mkdir(parents=True)
    command = arguments(tmp_path / "data", tmp_path / "run", **{"train.steps": 2})
    assert main.main(command) == 0
    assert "9000 of 9000 videos made" in capfd.readouterr().out
    assert describe("motions", tmp_path / "data").splits == {"train": 8000, "test": 1000}


def test_data_that_changed_under_a_run_are_noticed(finished, motions_dir, tmp_path, capsys):
    motions.build(tmp_path, train_scenes=12, test_scenes=4)
    command = arguments(tmp_path, finished, **{"train.steps": 10, "eval.every_steps": 5})
    assert main.main(command) == 2
    assert "was started on data with the fingerprint" in capsys.readouterr().err
    recorded = json.loads((finished / "dataset.json").read_text())["fingerprint"]
    assert recorded == describe("motions", motions_dir).fingerprint


def test_epochs_are_turned_into_steps(motions_dir, tmp_path, capsys):
    config = tmp_path / "half_an_epoch.py"
    config.write_text(
        "from experiments import motions\n"
        "def get_config(arg=None):\n"
        "    config = motions.get_config()\n"
        "    config.train.steps, config.train.epochs = None, 0.5\n"
        "    return config\n"
    )
    command = arguments(motions_dir, tmp_path / "run", config=config)
    command = [argument for argument in command if "train.steps" not in argument]
    assert main.main(command) == 0
    assert figures(tmp_path / "run")[-1]["step"] == 2  # half of 32 videos, eight at a time
    assert "0.5 epochs" in capsys.readouterr().out


@pytest.mark.slow
def test_the_papers_recipe_trains_too(motions_dir, tmp_path):
    """SGD with its steps, bfloat16, flips, label smoothing, drop path, three crops."""
    overrides = {
        "model.dtype": "bfloat16",
        "model.depth": 2,
        "model.drop_path": 0.1,
        "data.flip": True,
        "data.short_side": "(36, 44)",
        "data.eval_short_side": 36,
        "train.label_smoothing": 0.1,
        "optimizer.name": "sgd",
        "optimizer.schedule": "step",
        "optimizer.weight_decay_on": "all",
        "eval.spatial_crops": 3,
        "eval.temporal_views": 2,
    }
    assert main.main(arguments(motions_dir, tmp_path / "run", **overrides)) == 0
    last = figures(tmp_path / "run")[-1]
    assert last["eval/examples"] == 16
    assert np.isfinite(last["eval/loss"])


def test_judging_leaves_the_record_of_the_training_alone(finished, motions_dir):
    before = (finished / "config.json").read_bytes()
    overrides = {"train.steps": 10, "eval.temporal_views": 2}
    assert main.main([*arguments(motions_dir, finished, **overrides), "--mode=eval"]) == 0
    assert (finished / "config.json").read_bytes() == before


def test_an_evaluation_whose_files_are_missing_is_repeated(motions_dir, tmp_path):
    """A kill may come between the line of metrics and the files."""
    command = arguments(motions_dir, tmp_path / "run")
    assert main.main(command) == 0
    lines = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    (tmp_path / "run" / "report.html").unlink()
    assert main.main(command) == 0
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == lines


def test_data_of_a_run_are_never_made_anew_in_another_place(
    finished, motions_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    command = [f"--workdir={finished}", "--mode=eval", "--config.data.data_dir=data"]
    assert main.main(command) == 2
    assert f"--config.data.data_dir={motions_dir}" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_damaged_metrics_are_named_and_left_alone(motions_dir, tmp_path, capsys):
    command = arguments(motions_dir, tmp_path / "run")
    assert main.main(command) == 0
    path = tmp_path / "run" / "metrics.jsonl"
    damaged = b"rubbish\n" + path.read_bytes()
    path.write_bytes(damaged)
    assert main.main(command) == 2
    message = capsys.readouterr().err
    assert str(path) in message
    assert "line 1" in message
    assert path.read_bytes() == damaged
