"""Damaged shards and corrupt videos: counted, bounded, named; never silent."""

import json
import shutil

import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_module

from data_pipelines.records import features
from tests.tiny_run import arguments
from vidtx import main
from vidtx.reporting import read_metrics


@pytest.fixture
def copied(motions_dir, tmp_path):
    """A copy of the data set, to be damaged."""
    shutil.copytree(motions_dir, tmp_path / "data")
    return tmp_path / "data"


def shard(data_dir, split):
    (path,) = (data_dir / "motions").glob(f"*/motions-{split}.array_record-*")
    return path


def spoil_videos(data_dir, split, spoilt):
    """Replaces the videos of the numbered records by bytes that are none."""
    path = shard(data_dir, split)
    info = tfds.builder_from_directory(path.parent).info
    declared = features(info.features["label"].names)
    reader = array_record_module.ArrayRecordReader(str(path))
    records = [declared.deserialize_example_np(raw) for raw in reader.read_all()]
    reader.close()
    path.unlink()
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for number, record in enumerate(records):
        if number in spoilt:
            record["video"] = b"not a video"
        writer.write(declared.serialize_example(declared.encode_example(record)))
    writer.close()


def run(data_dir, workdir, **overrides):
    return main.main(arguments(data_dir, workdir, **overrides))


def test_corrupt_training_videos_are_replaced_and_counted(copied, tmp_path):
    spoil_videos(copied, "train", {3, 11})
    assert run(copied, tmp_path / "run", **{"data.max_bad": 0.2, "train.steps": 8}) == 0
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    # Eight steps of eight clips are two epochs of 32 videos, each with the two in it.
    assert sum(record.get("train/replaced", 0) for record in records) >= 4


def test_too_many_corrupt_training_videos_stop_the_run_without_losing_it(copied, tmp_path, capsys):
    spoil_videos(copied, "train", {5})  # met once an epoch, of two batches
    overrides = {"train.steps": 60, "checkpoint.every_steps": 1000, "train.global_batch": 16}
    assert run(copied, tmp_path / "run", **overrides) == 5
    message = capsys.readouterr().err
    assert "max_bad" in message
    assert "undecodable" in message
    assert "record 5 (train_0000" in message
    assert "Traceback" not in message
    checkpoints = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert len(checkpoints) == 1  # the state that had been reached
    assert int(checkpoints[0]) > 0


def test_unreadable_test_videos_are_left_out_and_counted(copied, tmp_path, capsys):
    spoil_videos(copied, "test", {0})
    assert run(copied, tmp_path / "run", **{"data.max_bad": 0.1}) == 0
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (evaluation["examples"], evaluation["failed"]) == (15, 1)
    assert "15 of 16 videos judged" in capsys.readouterr().out
    command = arguments(copied, tmp_path / "run", **{"data.max_bad": 0.01})
    assert main.main([*command, "--mode=eval"]) == 5
    message = capsys.readouterr().err
    assert "1 of the 16 videos of split test cannot be read" in message
    assert "test_0000" in message


def test_a_missing_shard_is_named(copied, tmp_path, capsys):
    missing = shard(copied, "train")
    missing.unlink()
    assert run(copied, tmp_path / "run") == 5
    message = capsys.readouterr().err
    assert str(missing) in message
    assert "Build it with" in message
    assert not (tmp_path / "run").exists()


def test_a_truncated_shard_is_named(copied, tmp_path, capsys):
    path = shard(copied, "test")
    path.write_bytes(path.read_bytes()[:-70000])
    assert run(copied, tmp_path / "run") == 5
    assert str(path) in capsys.readouterr().err


def test_a_run_that_diverges_stops_with_its_code_and_keeps_its_sound_state(
    motions_dir, tmp_path, capsys
):
    workdir = tmp_path / "run"
    options = {"train.steps": 40, "checkpoint.every_steps": 2, "train.log_every_steps": 5}
    blown = {"optimizer.learning_rate": 1e38, "optimizer.warmup_steps": 6}
    assert run(motions_dir, workdir, **options, **blown) == 3
    message = capsys.readouterr().err
    assert "not finite at step" in message
    assert "optimizer.learning_rate" in message
    bad = int(message.split("not finite at step ")[1].split()[0])
    steps = [int(path.name) for path in (workdir / "checkpoints").iterdir()]
    assert all(step < bad for step in steps)
