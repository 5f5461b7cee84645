"""``vidtx benchmark``: measured stages are told, what follows is reckoned right, errors are clear.

What step and inference measure is tested in ``tests/run/test_benchmark_step.py``.
"""

import shutil

import jax
import pytest

from data_pipelines.stages import STAGES
from tests.tiny_run import TINY
from vidtx.analysis import count_macs
from vidtx.models import create_model

SMALL = {
    "data.name": "mine",
    "data.frames": 4,
    "data.stride": 2,
    "data.image_size": "(32,48)",
    "data.short_side": "(36,40)",
    "data.eval_short_side": 32,
    "data.color_jitter": 0.4,
    "data.threads": 2,
    "model.name": "timesformer_ti16",
}


def arguments(data_dir, *more, command="input", **changes):
    changes = SMALL | {"data.data_dir": data_dir} | changes
    options = [f"--config.{key}={value}" for key, value in changes.items()]
    return ["benchmark", command, "--config=k400_divided", "--records=24", *options, *more]


def test_every_stage_is_measured_and_cores_follow(command, data_dir):
    found = command(*arguments(data_dir, "--chip=V5E", "--utilisation=0.5", "--json")).json
    assert found["source"] == "mine/train"
    assert found["clip"] == [4, 32, 48]
    costs = found["costs"]
    assert (costs["clips"], costs["records"], costs["threads"]) == (24, 6, 2)
    assert costs["unreadable"] == 0
    assert list(costs["stages"]) == list(STAGES)
    assert all(seconds > 0 for seconds in costs["stages"].values())
    assert costs["stages"]["decode"] > costs["stages"]["parse"]
    assert min(costs["plain"], costs["loader"], costs["wall"], costs["stored_bytes"]) > 0
    model = create_model(
        "timesformer_ti16", scheme="divided", num_classes=2, num_frames=4,
        image_size=(32, 48),
    )  # fmt: skip
    macs = count_macs(model).total
    assert found["gmacs"] == pytest.approx(macs / 1e9)
    (chip,) = found["chips"]
    # Half of 197 TFLOP/s; forward and twice as much backward, two operations a multiply-add.
    assert chip["clips_per_second"] == pytest.approx(0.5 * 197e12 / (6 * macs))
    assert chip["cores"] == pytest.approx(chip["clips_per_second"] * costs["loader"])


def test_the_table_says_what_is_an_estimate(command, data_dir):
    # By the name that it had first.
    out = command(*arguments(data_dir, "--split=validation", command="data")).out
    assert "mine/validation: 24 training clips of 4×32×48" in out
    for stage in (*STAGES, "plain loop", "loader, threads: 2", "h100", "v5e"):
        assert f"\n{stage} " in out
    assert "An estimate, not a measurement" in out
    assert "The split has 3 records" in out


def test_files_without_a_build_and_broken_ones_among_them(command, tmp_path, videos):
    folder = tmp_path / "raw"
    shutil.copytree(videos / "train", folder / "train")
    for broken in list(folder.rglob("*.mp4"))[:1]:
        broken.write_bytes(b"no video")
    changes = {"data.name": "raw", "data.source": "folder"}
    found = command(*arguments(tmp_path, "--json", **changes)).json
    assert found["costs"]["unreadable"] > 0
    assert found["costs"]["stages"]["read"] > 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--chip=v99"], "--chip=v99 is not known; known are v3"),
        (["--split=nosuch"], "nosuch"),
        (["--records=0"], "1 or more"),
        (["--utilisation=7"], "between 0 and 1"),
        (["--config.data.nosuch=1"], "nosuch"),
    ],
)
def test_wrong_use(command, data_dir, more, message):
    assert message in command(*arguments(data_dir, *more), code=2).err


def on_noise(what, *more, **changes):
    """The command line of a benchmark that needs no data set."""
    changes = TINY | {"data.data_dir": "absent"} | changes
    options = [f"--config.{key}={value}" for key, value in changes.items()]
    return ["benchmark", what, "--config=motions", *options, *more]


@pytest.mark.parametrize(
    ("compared", "message"),
    [
        ("model.attenton=xla,cudnn", "no such option; did you mean model.attention"),
        ("remat=none,full", "no such option; did you mean model.remat?"),
        ("qqqq=1,2", "no such option; experiments/defaults.py lists all."),
        ("model=1,2", "--compare=model: the config has no such option"),
        ("model.remat", "write it as OPTION=VALUE,VALUE"),
        ("model.remat=none,full,none", "gives none twice"),
        ("model.remat=none,,full", "has no value"),
        ("model.depth=1,two,three", "--compare=model.depth=three: invalid literal"),
        ("train.global_batch=0,8", "train.global_batch is 0; it must be at least 1"),
    ],
)
def test_wrong_comparisons(command, compared, message):
    assert message in command(*on_noise("step", f"--compare={compared}"), code=2).err


def test_values_with_commas_of_their_own_are_one_each(command):
    compared = "--compare=data.image_size=(30,30),(31, 32)"
    err = command(*on_noise("step", compared), code=2).err
    assert "data.image_size=(30,30): " in err
    assert "data.image_size=(31, 32): " in err
    assert "no multiple of the patch size 8" in err


def test_nothing_is_measured_where_no_value_can_run(command):
    found = command(*on_noise("step", "--compare=model.attention=cudnn,spash", "--json"), code=2)
    message = found.json["error"]["message"]
    assert found.json["error"]["exit_code"] == 2
    assert "model.attention=cudnn: " in message
    assert "computes in bfloat16 or float16" in message
    assert "model.attention=spash: " in message
    assert "one of auto, xla, splash, cudnn" in message


@pytest.mark.parametrize(
    ("what", "more", "message"),
    [
        ("step", ["--seconds=0"], "'0' must be a number of seconds above 0"),
        ("step", ["--seconds=soon"], "'soon' must be a number of seconds"),
        ("step", ["--config.data.name=mine"], "data set 'mine' has is not known here"),
        ("step", ["--config.model.attention=cudnn"], "attention is 'cudnn'"),
        ("step", ["--config.train.accumulate=3"], "train.global_batch is 8; it must be a multiple"),
        ("step", ["--batch=1"], "Unrecognized arguments: --batch=1"),
        ("inference", ["--batch=0,1"], "'0' must be a whole number, 1 or more"),
        ("inference", ["--batch=1,a"], "'a' must be a whole number, 1 or more"),
        ("inference", ["--config.model.nosuch=1"], "nosuch"),
        ("all", [], "no data set 'motions' in absent"),
    ],
)
def test_wrong_use_on_devices(command, what, more, message):
    assert message in command(*on_noise(what, *more), code=2).err


@pytest.mark.slow
def test_a_step_that_does_not_fit_says_what_lowers_it(command):
    err = command(*on_noise("step", **{"train.global_batch": 10**9}), code=7).err
    assert "What lowers it: train.global_batch below 1000000000" in err
    assert "model.remat=full" in err


@pytest.mark.slow
def test_attention_backends_are_compared_where_they_can_run(command):
    compared = "--compare=model.attention=auto,splash,cudnn,xla"
    found = command(*on_noise("step", compared, "--classes=8", "--seconds=0.3", "--json")).json
    ran = {step["value"]: step["found"] for step in found["steps"]}
    assert list(ran) == ["auto", "splash", "cudnn", "xla"]
    assert ran["xla"]["attention"] == {"time": "xla", "space": "xla"}
    assert ran["auto"] is not None
    reasons = {step["value"]: step["reason"] for step in found["steps"]}
    assert "needs a GPU" in reasons["cudnn"] or jax.default_backend() == "gpu"


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs a GPU")
def test_a_gpu_tells_its_memory_and_is_compared_with_its_peak(command):
    compared = "--compare=model.attention=cudnn,xla"
    options = {"model.dtype": "bfloat16"}
    found = command(*on_noise("step", compared, "--seconds=1", "--json", **options)).json
    for step in found["steps"]:
        assert step["found"]["devices"]["platform"] == "gpu"
        assert set(step["found"]["attention"].values()) == {step["value"]}
    assert found["steps"][0]["found"]["memory"]["measured_peak"] > 0
