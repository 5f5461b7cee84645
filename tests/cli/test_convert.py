"""``vidtx convert``."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import vidtx
from tests.inference import folders
from tests.parity import foreign
from tests.tiny_run import ROOT
from vidtx.inference import load_pretrained


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A folder of Hugging Face's TimeSformer; not to be changed."""
    arrays = foreign.weights(foreign.shapes_of("divided_space_time"))
    return foreign.write(tmp_path_factory.mktemp("source"), "divided_space_time", arrays)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A file of timm's ViT."""
    arrays = foreign.weights(foreign.shapes_of("timm_vit"))
    return foreign.write(tmp_path_factory.mktemp("images"), "timm_vit", arrays)


def test_what_became_of_every_array_is_told(command, images, tmp_path):
    text = command(
        "convert", images, tmp_path / "start", "--scheme=divided", "--num_frames=4",
        "--num_heads=2", "--num_classes=3", "--image_size=16,24", "--resize=bilinear",
    ).out  # fmt: skip
    first, counts, *lines = text.splitlines()
    assert first == f"{tmp_path / 'start'}: written"
    assert counts == "29 used, 1 resized, 12 copied, 7 new, 2 dropped"
    assert any("2×2 → 2×3 patches, bilinear" in line for line in lines)
    assert any(line.startswith("  dropped  head.weight") for line in lines)
    model, _ = vidtx.load(tmp_path / "start")
    assert (model.scheme, model.image_size, model.num_classes) == ("divided", (16, 24), 3)


def test_the_report_as_json(command, source, tmp_path):
    told = command("convert", source, tmp_path / "a", "--json").json
    record = json.loads((tmp_path / "a" / "conversion.json").read_text())
    assert told == {name: record[name] for name in ("counts", "entries", "notes")}
    assert told["counts"]["used"] == len(told["entries"]) == 49
    dry = command("convert", source, tmp_path / "b", "--json", "--dry_run").json
    assert dry == told
    assert "would be written" in command("convert", source, tmp_path / "b", "--dry_run").out
    assert not (tmp_path / "b").exists()


def test_names_of_classes_are_read_from_a_file(command, source, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\ufeffone\ntwo words\nthree \n倒れる\nfive\n\n")
    line = ("convert", source, tmp_path / "a", f"--class_names={names}")
    command(*line)
    found = load_pretrained(tmp_path / "a").contract["class_names"]
    assert found == ["one", "two words", "three", "倒れる", "five"]
    line = ("convert", source, tmp_path / "b", f"--class_names={names}")
    for text, part in (("a\n\nb", "line 2 is empty"), ("\n", "all of it"), ("a\nb", "2 names")):
        names.write_text(text)
        assert part in command(*line, code=2).err
    names.write_bytes(b"\xff\xfe\xfd")
    assert "no UTF-8" in command(*line, code=2).err
    names.unlink()
    assert f"--class_names={names} cannot be read: No such file" in command(*line, code=2).err
    assert not (tmp_path / "b").exists()


def test_exit_codes_say_whose_fault_it_is(command, source, tmp_path, monkeypatch):
    target = tmp_path / "a"
    assert "no file or folder" in command("convert", tmp_path / "no", target, code=2).err
    assert "holds files" in command("convert", source, source, code=2).err
    inside = source / "config.json" / "a" / "b"
    assert f"target (DST) {inside} cannot be" in command("convert", source, inside, code=2).err
    unwritable = "/proc/nowhere/a"  # in which nobody can make a folder
    assert f"(DST) {unwritable} cannot be" in command("convert", source, unwritable, code=2).err
    assert "height,width" in command("convert", source, target, "--image_size=1x2", code=2).err
    assert "resize" in command("convert", source, target, "--resize=cubic", code=2).err
    wrong = ("convert", source, target, "--scheme=axial", "--image_size=16,24")
    message = command(*wrong, "--to=huggingface", "--json", code=2).json["error"]["message"]
    assert "'axial'" in message
    assert "16×24" in message
    page = tmp_path / "model.safetensors"
    page.write_text("<html>")
    assert "web page" in command("convert", page, target, code=6).err
    pickled = tmp_path / "model.pyth"
    pickled.write_bytes(b"\x80\x02}q\x00.")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "vidtx[torch]" in command("convert", pickled, target, code=7).err
    assert not target.exists()


def test_one_that_is_killed_leaves_nothing_that_looks_whole(command, source, tmp_path):
    target = tmp_path / "exported"
    line = ["convert", str(source), str(target), "--to=huggingface"]
    # At the last moment: all is written, and has no name yet.
    program = textwrap.dedent(
        f"""
        import os, signal
        from vidtx.cli import main
        os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        main({line!r})
        """
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    killed = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    (remains,) = tmp_path.iterdir()
    assert remains.name.startswith(".")
    (remains / "more").mkdir()
    command(*line)
    assert list(tmp_path.iterdir()) == [target]
    assert folders.stored(target) == folders.stored(source)
    assert not (target / "more").exists()
