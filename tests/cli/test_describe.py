"""``vidtx describe``: what it tells is what training would find, and it changes nothing."""

import json
import math
import shutil

import numpy as np
import pytest

from data_pipelines.records import describe as describe_data_set
from tests.cli.described import NOWHERE, options
from vidtx.analysis import count_macs, parameter_shapes
from vidtx.checkpoints import CheckpointStore
from vidtx.models import create_model
from vidtx.run.describe_start import describe_workdir
from vidtx.run.workdir import claim

VIDEOS = 32  # of the train split of `motions_dir`
STEPS = 3 * VIDEOS // 8


@pytest.fixture
def describe(command):
    """Returns f(*arguments, code=0, config="motions", **changes) -> the JSON that is printed."""

    def run(*arguments, code=0, config="motions", data_dir=NOWHERE, **changes):
        line = ["describe", f"--config={config}", "--json", *options(data_dir, **changes)]
        return command(*line, *arguments, code=code).json

    return run


@pytest.fixture
def model():
    sizes = {"embed_dim": 32, "depth": 1, "num_heads": 2, "num_frames": 4, "image_size": 32}
    return create_model("timesformer_ti8", num_classes=8, **sizes)


def test_a_run_whose_data_are_there(describe, motions_dir, model, tmp_path):
    changes = {"model.scheme": "divided"}
    found = describe(f"--workdir={tmp_path / 'new'}", data_dir=motions_dir, **changes)
    assert found["refused"] == []
    assert json.loads(json.dumps(found, allow_nan=False)) == found

    parameters = sum(math.prod(shape) for shape in parameter_shapes(model).values())
    assert found["model"]["parameters"]["total"] == found["model"]["trainable"] == parameters
    assert found["cost"]["macs_of_a_view"]["total"] == count_macs(model).total
    assert found["cost"]["macs_of_a_video"] == count_macs(model).total
    assert [step["tokens"] for step in found["attention"]] == [4, 17]
    assert found["attention"][0]["backends"]["cpu"] == "xla"
    memory = found["memory"]
    assert memory["weights"] == memory["gradients"] == 4 * parameters
    assert 0 <= memory["optimizer"] - 8 * parameters < 100  # and AdamW's counters
    clip = 4 * 32 * 32 * 3
    assert (memory["batch"], memory["clips_as_floats"]) == (8 * clip, 8 * clip * 4)
    assert memory["total"] == sum(
        size for name, size in memory.items() if name not in ("total", "attention_counted_as")
    )
    assert found["mesh"]["kind"] == "cpu"

    length = found["length"]
    assert length["run"] == {"steps": STEPS, "epochs": 3.0, "examples": 3 * VIDEOS}
    assert length["warmup"] == {"steps": 4, "epochs": 1.0, "examples": VIDEOS}
    assert length["evaluate_every"]["steps"] == 4
    rates = {point["when"]: (point["step"], point["rate"]) for point in length["learning_rate"]}
    assert rates["first step"] == (0, 0.0)
    assert rates["end of warm-up"] == (4, 0.001)
    assert rates["last step"][0] == STEPS - 1
    assert rates["last step"][1] == pytest.approx(0.0005 * (1 + math.cos(math.pi * 7 / 8)))

    data, there = found["data"], describe_data_set("motions:2.0.0", motions_dir)
    assert data["fingerprint"] == there.fingerprint
    assert (data["status"], data["train_examples"], data["classes"]) == ("there", VIDEOS, 8)
    assert data["classes_tell_left_from_right"] is False  # no build has noted it
    assert found["workdir"]["status"] == "new"
    assert not (tmp_path / "new").exists()


def test_an_absent_data_set_leaves_open_what_depends_on_it(describe, tmp_path):
    found = describe(
        "--devices=16",
        config="ucf101_divided",
        data_dir=tmp_path / "data",
        **{"optimizer.warmup_steps": 0, "train.epochs": 15.0, "mesh.fsdp": 2, "mesh.sequence": 2,
           "model.num_heads": 2, "model.name": "timesformer_ti16"},
    )  # fmt: skip
    assert found["data"]["status"] == "absent"
    assert "vidtx data build ucf101" in found["data"]["message"]
    assert found["data"]["classes"] == found["model"]["classes"] == 101
    assert found["length"]["run"] == {"steps": None, "epochs": 15.0, "examples": None}
    rates = [(point["when"], point["epoch"]) for point in found["length"]["learning_rate"]]
    assert rates == [("first step", 0.0), ("drop", 11.0), ("drop", 14.0), ("last step", 15.0)]
    assert found["mesh"]["axes"] == {"data": 4, "fsdp": 2, "sequence": 2, "tensor": 1}
    assert (found["mesh"]["clips_on_a_device"], found["mesh"]["platform"]) == (1, "tpu")
    assert found["refused"] == []
    assert not (tmp_path / "data").exists()


def test_weights_are_split_over_devices_that_are_not_here(describe):
    whole = describe("--devices=1")["memory"]
    changes = {"mesh.fsdp": 4, "train.accumulate": 2, "optimizer.layer_decay": 0.5}
    found = describe("--devices=4", **changes)
    assert {group["learning_rate"] for group in found["model"]["groups"]} == {0.25, 0.5, 1.0}
    split = found["memory"]
    assert split["weights"] < whole["weights"] / 3
    assert split["gradients"] == 2 * split["weights"]
    assert split["batch"] == whole["batch"] / 4
    assert split["activations"] == pytest.approx(whole["activations"] / 8, rel=0.01)


def test_a_data_set_that_nobody_knows_is_described_without_its_classes(command, describe):
    unknown = {"data.name": "mine", "train.epochs": "None", "train.examples": 80}
    text = command("describe", "--config=motions", "--devices=1", *options(**unknown)).out
    assert "How many classes there are is not known" in text
    found = describe("--devices=1", "--classes=7", **unknown)
    assert found["model"]["parameters"]["head"] == 33 * 7
    assert found["length"]["run"] == {"steps": 10, "epochs": None, "examples": 80}
    assert len(found["length"]["learning_rate"]) == 4


def test_all_problems_of_a_config_are_told_at_once(describe):
    error = describe(
        "--devices=6",
        code=2,
        **{"mesh.fsdp": 3, "optimizer.freeze": "('nothing',)", "train.accumulate": 3},
    )["error"]
    for part in (
        "train.global_batch is 8",
        "mesh.fsdp is 3; it must divide the embedding width 32",
        "optimizer.freeze has 'nothing'",
    ):
        assert part in error["message"]
    error = describe("--devices=6", "--platform=tpu", code=2,
                     **{"mesh.fsdp": 4, "model.attention": "cudnn"})["error"]  # fmt: skip
    assert "there are 6" in error["message"]
    assert "XLA_FLAGS" not in error["message"]  # they are not of this machine
    assert "model.attention is 'cudnn'" in error["message"]


@pytest.fixture
def one_sided_dir(motions_dir, tmp_path):
    """The embedded data set, with a note that its classes tell left from right."""
    folder = shutil.copytree(motions_dir, tmp_path / "one_sided")
    (path,) = folder.glob("motions/*/metadata.json")
    notes = {"mirrorable": False, "dropped": {"train": {"missing_file": 1200}}}
    path.write_text(json.dumps(json.loads(path.read_text()) | notes))
    return folder


def test_what_training_would_refuse_is_told_and_the_rest_described(command, one_sided_dir):
    changes = {"data.flip": True, "optimizer.warmup_steps": STEPS, "data.eval_split": "nowhere"}
    line = ["describe", "--config=motions", "--devices=1", *options(one_sided_dir, **changes)]
    text = command(*line, code=2).out
    told, refused = text.split("TRAINING WOULD REFUSE THIS:")
    for reason in ("data.flip is True", f"optimizer.warmup is {STEPS} steps long", "'nowhere'"):
        assert reason in refused
        assert reason not in told
    assert "8 classes, one a video; they do tell left from right" in told
    assert "left out when it was built: 1,200 missing_file" in told
    assert "kept for the backward pass" in told


def test_classes_given_must_be_those_of_the_data_set(describe, motions_dir):
    error = describe("--classes=9", data_dir=motions_dir, code=2)["error"]
    assert "has 8 classes" in error["message"]


@pytest.fixture
def claimed(spec_of, motions_dir, tmp_path):
    """A run directory that training has begun in, and the data that it is on."""
    there = describe_data_set("motions:2.0.0", motions_dir)
    data = {name: getattr(there, name) for name in ("name", "version", "fingerprint")}
    return claim(tmp_path / "run", spec_of(motions_dir), data), data


def test_what_a_run_directory_holds(spec_of, motions_dir, claimed):
    run, data = claimed

    def look(**changes):
        return describe_workdir(spec_of(motions_dir, **changes), run, STEPS, data)

    assert (look().facts["status"], look().facts["checkpoints"]) == ("resume", [])
    with CheckpointStore(run, keep=9) as store:
        for step in (2, STEPS):
            store.save(step, {"step": np.int32(step)})
    state = look().facts
    assert (state["status"], state["step"], state["checkpoints"]) == ("resume", STEPS, [2, STEPS])

    (run / "evaluation.json").write_text(json.dumps({"step": STEPS}))
    (run / "report.html").write_text("")
    before = sorted(run.rglob("*"))
    assert look().facts["status"] == "finished"
    assert look().refusals == ()
    other = look(seed=1)
    assert other.facts["status"] == "another run"
    assert other.facts["differences"] == ["seed: 0 then, 1 now"]
    assert [error.exit_code for error in other.refusals] == [2]
    assert sorted(run.rglob("*")) == before


def test_other_data_and_other_files_are_refused(spec_of, motions_dir, claimed):
    run, data = claimed
    changed = describe_workdir(spec_of(motions_dir), run, STEPS, data | {"fingerprint": "0" * 64})
    assert "fingerprint" in str(changed.refusals[0])
    occupied = describe_workdir(spec_of(motions_dir), run.parent, STEPS, data)
    assert occupied.facts["status"] == "not a run"
    assert "holds files but no run" in str(occupied.refusals[0])


def test_where_nothing_can_be_written_is_told(describe, tmp_path):
    nowhere = "/proc/nope/x"  # even of the machine's administrator
    (refused,) = describe(f"--workdir={nowhere}", "--devices=1", code=7)["refused"]
    assert f"--workdir={nowhere} cannot be written: /proc, the part of it" in refused["message"]
    describe(f"--workdir={tmp_path / 'a' / 'b'}", "--devices=1")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_would_be_resumed_is_told(command, motions_dir, claimed):
    run, _ = claimed
    with CheckpointStore(run) as store:
        store.save(2, {"step": np.int32(2)})
    line = ["describe", "--config=motions", f"--workdir={run}", *options(motions_dir)]
    text = command(*line, "--config.train.init_from=None").out
    assert f"{run}: would be resumed after step 2" in text
    assert "new weights" not in text


@pytest.mark.slow
@pytest.mark.parametrize("config", ["k400_divided:l", "k400_divided:joint,hr"])
@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_published_sizes_are_described_without_their_data(command, config, platform):
    line = ["describe", f"--config={config}", "--devices=16", f"--platform={platform}",
            "--config.model.name=timesformer_h16", "--config.mesh.fsdp=4"]  # fmt: skip
    assert "kept for the backward pass" in command(*line).out
