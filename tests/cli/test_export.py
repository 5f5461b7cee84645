"""``vidtx export``."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import vidtx
from tests.inference.exporting import checkpoint
from tests.tiny_run import ROOT


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A checkpoint of a tiny model; not to be changed."""
    return checkpoint(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory):
    """The command's folder, and what it printed; not to be changed."""
    target = tmp_path_factory.mktemp("exported") / "folder"
    line = [sys.executable, "-m", "vidtx", "export", f"--weights={run}", f"--out={target}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    return target, done.stdout


def test_a_folder_is_written_and_told_of(exported):
    target, out = exported
    first, *lines = out.splitlines()
    assert first == f"{target}: written, for cpu, cuda, rocm, tpu"
    assert "5 classes, clips ['b', 4, 8, 16, 3]" in lines[0]
    assert "answers as the model does on cpu" in lines[1]
    model, _ = vidtx.load(target)
    assert model.scheme == "divided"
    assert model.num_classes == 5


def test_it_is_verified(command, exported, tmp_path):
    target, _ = exported
    assert "every file is as it was exported" in command("export", "--verify", target).out
    told = command("export", "--verify", target, "--json").json
    assert told["platform"] == "cpu"
    assert told["difference"] <= told["bound"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in target.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "labels.json").write_text("[]\n")
    assert "labels.json has 3 bytes" in command("export", "--verify", copy, code=6).err
    assert "no exported folder" in command("export", "--verify", tmp_path, code=2).err


def test_json_is_the_manifest(command, run, tmp_path, videos):
    video = next(videos.rglob("*.mp4"))
    told = command(
        "export", f"--weights={run}", f"--out={tmp_path / 'a'}", "--platforms=cpu, tpu",
        f"--check={video}", "--views=1x1", "--dtype=bfloat16", "--json",
    ).json  # fmt: skip
    assert told == json.loads((tmp_path / "a" / "export.json").read_text())
    assert (told["platforms"], told["dtype"]) == (["cpu", "tpu"], "bfloat16")
    assert (told["reference"]["of"], told["reference"]["clips"]) == (video.name, 1)


def test_exit_codes_say_whose_fault_it_is(command, run, tmp_path):
    target = tmp_path / "a"
    weights, out = f"--weights={run}", f"--out={target}"
    assert "Give --weights=SRC and --out=FOLDER" in command("export", code=2).err
    assert "leave out --weights" in command("export", weights, "--verify=a", code=2).err
    assert "no file or folder" in command("export", "--weights=no", out, code=2).err
    assert "platforms is gpu" in command("export", weights, out, "--platforms=gpu", code=2).err
    assert "views is" in command("export", weights, out, "--views=3", code=2).err
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert "cannot be opened" in command("export", weights, out, f"--check={text}", code=5).err
    assert not target.exists()
    (target / "more").mkdir(parents=True)
    assert "holds files" in command("export", weights, out, code=2).err


def test_one_that_is_killed_leaves_nothing_that_looks_whole(command, run, tmp_path):
    target = tmp_path / "exported"
    line = ["export", f"--weights={run}", f"--out={target}", "--platforms=cpu"]
    # At the last moment: all is written, and has no name yet.
    program = textwrap.dedent(
        f"""
        import os, signal
        from vidtx.cli import main
        os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        main({line!r})
        """
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    (remains,) = tmp_path.iterdir()
    assert remains.name.startswith(".")
    assert (remains / "export.json").exists()
    command(*line)
    assert list(tmp_path.iterdir()) == [target]
    assert "every file" in command("export", "--verify", target).out
