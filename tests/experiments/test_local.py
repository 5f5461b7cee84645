"""``runlocal``: experiments trained from start to end on the embedded data set."""

import json
import shutil

import pytest

from tests.tiny_run import ROOT
from vidtx import cli, main, run
from vidtx.config import experiments, load_config, resolve
from vidtx.reporting import read_metrics

LOCAL = sorted(experiments().keys() - {"motions", "table1", "table4"})
BRIEF = {
    "train.steps": 4,
    "train.log_every_steps": 2,
    "checkpoint.every_steps": 2,
    "model.depth": 1,
    "optimizer.warmup_steps": 1,
}


def train(reference, data_dir, workdir, **options):
    options = {"data.data_dir": data_dir} | options
    flags = [f"--config.{name}={value}" for name, value in options.items()]
    return main.main([f"--config={reference}", f"--workdir={workdir}", *flags])


def last_line(workdir):
    return [line for line in read_metrics(workdir / "metrics.jsonl") if "train/loss" in line][-1]


@pytest.mark.parametrize("name", LOCAL)
def test_what_is_small_and_what_stays(name):
    whole = resolve(load_config(name), run.problems)
    local = resolve(load_config(f"{name}:runlocal"), run.problems)
    assert (local.data.name, local.data.image_size, local.data.flip) == ("motions", (32, 32), False)
    assert local.data.frames == min(8, whole.data.frames)
    assert local.train.init_from is None
    assert (local.train.steps, local.train.epochs, local.eval.every.given) == (100, None, False)
    assert local.model.embed_dim == 48
    for group, keys in {
        "model": ("scheme", "position_embedding", "drop_path"),
        "data": ("sampling", "channel_order", "rand_augment", "erase", "per_class"),
        "train": ("label_smoothing", "mixup", "cutmix", "ema_decay"),
        "optimizer": ("name", "learning_rate", "schedule", "layer_decay", "freeze"),
        "eval": ("temporal_position", "spatial_crops", "average"),
    }.items():
        for key in keys:
            assert getattr(getattr(local, group), key) == getattr(getattr(whole, group), key), key
    assert local.name == f"{whole.name}_local"


@pytest.mark.parametrize(
    "reference",
    [
        "ssv2_divided:order=parallel,runlocal",
        "few_shot:shots=2,runlocal",
        "linear_probe:runlocal",
        pytest.param("finetune:runlocal", marks=pytest.mark.slow),
    ],
)
def test_a_recipe_goes_through_and_is_judged(reference, motions_dir, tmp_path, capsys):
    assert train(reference, motions_dir, tmp_path / "run", **BRIEF) == 0
    said = capsys.readouterr().out
    assert ("of each class by seed 0" in said) == ("few_shot" in reference)
    assert last_line(tmp_path / "run")["step"] == 4
    judged = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (judged["step"], judged["examples"], judged["failed"]) == (4, 4, 0)


def test_a_run_on_too_few_videos_does_not_begin(motions_dir, tmp_path, capsys):
    # 16 scenes of two videos are four of each class.
    assert train("few_shot:shots=5,runlocal", motions_dir, tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert "data.per_class is 5, but of 8 of the 8 classes motions:2.0.0/train has fewer" in error
    assert "'clockwise' (4)" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data.per_class": 0}, "data.per_class is 0; it must be at least 1."),
        ({"data.multi_label": True}, "data.multi_label gives a video any number of classes"),
        ({"data.eval_split": "train"}, "data.eval_split is the train split, 'train'"),
    ],
)
def test_few_of_what_cannot_be_are_refused(changes, told, tmp_path, capsys):
    assert train("few_shot:runlocal", tmp_path, tmp_path / "run", **changes) == 2
    assert told in capsys.readouterr().err


def test_a_description_counts_the_chosen_alone(motions_dir, capsys):
    line = ["describe", "--config=few_shot:shots=3,runlocal", "--json"]
    assert cli.main([*line, f"--config.data.data_dir={motions_dir}"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["train_examples"], data["eval_examples"], data["splits"]["train"]) == (24, 4, 32)


@pytest.mark.slow
def test_few_shot_goes_on_with_its_few(motions_dir, tmp_path, capsys):
    reference = "few_shot:shots=2,runlocal"
    assert train(reference, motions_dir, tmp_path / "run", **BRIEF) == 0
    whole = last_line(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "4")
    assert train(reference, motions_dir, tmp_path / "run", **BRIEF) == 0
    assert "Going on after step 2" in capsys.readouterr().out
    again = last_line(tmp_path / "run")
    for name in ("step", "train/clip_ids", "train/loss"):
        assert again[name] == whole[name], name
    other = BRIEF | {"data.per_class": 3}
    assert train(reference, motions_dir, tmp_path / "run", **other) == 2
    assert "data.per_class: 2 then, 3 now" in capsys.readouterr().err


def distinct(names):
    """The first of those that are the same run but for the name."""
    found = {}
    for name in names:
        config = load_config(f"{name}:runlocal")
        config.name = "local"
        found.setdefault(config.to_json(), name)
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", distinct(LOCAL))
def test_the_whole_minute(name, tmp_path_factory, tmp_path):
    data_dir = tmp_path_factory.getbasetemp() / "motions"  # made by the first of them
    assert train(f"{name}:runlocal", data_dir, tmp_path / "run") == 0
    assert last_line(tmp_path / "run")["step"] == 100


def test_the_arguments_are_in_the_documentation():
    text = (ROOT / "docs" / "recipes.md").read_text()
    for name in experiments():
        assert f"`{name}`" in text, name
    for word in ("scheme", "order", "size", "frames", "variant", "pretrain", "positions", "batch"):
        assert f"| `{word}=" in text, word
    for word in ("dataset", "source", "shots"):
        assert f"| `{word}=" in text, word
    assert "`runlocal`" in text
