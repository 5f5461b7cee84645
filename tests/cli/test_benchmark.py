"""``vidtx benchmark data``: measured stages are told, and what follows is reckoned right."""

import shutil

import pytest

from data_pipelines.stages import STAGES
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


def arguments(data_dir, *more, **changes):
    changes = SMALL | {"data.data_dir": data_dir} | changes
    options = [f"--config.{key}={value}" for key, value in changes.items()]
    return ["benchmark", "data", "--config=k400_divided", "--records=24", *options, *more]


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
    out = command(*arguments(data_dir, "--split=validation")).out
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
