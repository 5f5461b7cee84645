"""``vidtx compile``: what it prints, and what it refuses."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.contracts.on_a_slice import TINY
from tests.tiny_run import ROOT
from vidtx.analysis import count_macs
from vidtx.models import create_model


def arguments(topology, *more, **changes):
    changes = TINY | {"model.dtype": "bfloat16"} | changes
    options = [f"--config.{name}={value}" for name, value in changes.items()]
    return ["compile", "--config=k400_divided", f"--topology={topology}", *options, *more]


def vidtx(*given):
    """Runs the command, as a person would: code, output, errors."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "vidtx", *given]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    return ended.returncode, ended.stdout, ended.stderr


def test_the_report_as_json():
    code, out, err = vidtx(*arguments("v5e:2x2", "--mode=eval", "--slices=2", "--json"))
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["chips"], report["devices"], report["slices"]) == (8, 8, 2)
    assert report["mesh"] == {"data": 8, "fsdp": 1, "sequence": 1, "tensor": 1}
    # 16 videos of three crops each.
    assert (report["clips"], report["clips_per_device"]) == (48, 6.0)
    model = create_model(
        "timesformer_b16", scheme="divided", embed_dim=64, num_heads=2, depth=1, num_frames=2,
        image_size=32, num_classes=400,
    )  # fmt: skip
    macs = count_macs(model).total
    assert report["model_flops_per_clip"] == 2 * macs
    assert 0.5 < report["per_clip"]["flops"] / (2 * macs) < 1.05
    memory = report["memory"]
    kinds = ("weights", "optimizer", "averaged", "batch", "other")
    assert sum(memory[kind] for kind in kinds) == memory["arguments"]
    assert memory["optimizer"] == memory["averaged"] == 0
    assert memory["batch"] >= 2 * 3 * 2 * 32 * 32 * 3
    times = report["times"]
    assert times["roofline"] == max(times["compute"], times["memory"])
    assert report["clips_per_second"] == pytest.approx(48 / times["step"])
    assert set(report["versions"]) == {"jax", "jaxlib", "libtpu"}


@pytest.mark.slow
def test_the_report_as_text_a_step_that_does_not_fit_and_a_mesh_that_does_not():
    # All in one process, as starting is most of what they cost.
    program = "import sys, json\nfrom vidtx.cli import main\n" + "\n".join(
        f"print('code', main({given}))"
        for given in (
            arguments("v5e:1x1"),
            arguments("v5e:1x1", "--json", **{"train.global_batch": 2**19}),
            arguments("v5e:4x4", **{"mesh.tensor": 4, "train.global_batch": 9}),
            arguments("v5e:2x2", **{"mesh.tensor": 3}),
        )
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    text, failed = ended.stdout.split("code 0\n")
    assert text.startswith("train step of k400_divided on v5e:1x1: 1 chip, mesh data 1 × fsdp 1")
    for part in (
        "\nweights ",
        "\noptimiser ",
        "\ntemporaries ",
        "\nat the worst moment, by the compiler ",
        "a v5e device has  ",
        "roofline",
        "MFU at most",
        "No communication between devices.",
        "Models, not measurements",
    ):
        assert part in text  # fmt: skip
    error, *codes = failed.splitlines()
    assert codes == ["code 7", "code 2", "code 2"]
    message = json.loads(error)["error"]["message"]
    assert "The train step does not fit v5e:1x1" in message
    assert "which has 15.75 GiB" in message
    assert "GiB too much" in message
    assert "\n  - train.global_batch=" in message
    assert "\n  - train.accumulate=" in message
    # No line of a library; of the mesh, what the slice's devices make impossible, all of it.
    told, _, of_mesh = ended.stderr.partition("vidtx: The config has 2 problems:\n")
    assert told == f"vidtx: {message}\n"
    assert "  - train.global_batch is 9; it must be a multiple of" in of_mesh
    assert "  - mesh.tensor is 4; it must divide the number of heads 2" in of_mesh
    assert "but there are 4: it must divide them. Lower another axis." in of_mesh
    assert "XLA_FLAGS" not in of_mesh  # which makes no chips


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--topology=v9:4x4"], "--topology=v9:4x4 is not known. A topology is a generation"),
        (["--topology=v5e:2x2x2"], "slices of v5e have 2 lengths, not 3"),
        ([], "The following arguments are required: --topology"),
        (["--topology=v5e:2x2", "--slices=0"], "1 or more"),
        (["--topology=v5e:2x2", "--mode=predict"], "invalid choice: 'predict'"),
    ],
)
def test_wrong_use(command, given, message):
    assert message in command("compile", "--config=k400_divided", *given, code=2).err


def test_without_libtpu_it_says_how_to_get_it(command, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    error = command("compile", "--config=k400_divided", "--topology=v5e:2x2", code=7).err
    assert "libtpu, whose compiler this needs, is not installed" in error
    assert "pip install 'vidtx[tpu]'" in error
