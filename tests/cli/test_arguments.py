"""What is wrong with a command line is told in one sentence, with exit code 2."""

import errno
import os

import pytest

from vidtx.cli import main
from vidtx.errors import explain

BUILD = "data build folder --videos=v --out=o"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "The following arguments are required: COMMAND. See vidtx --help."),
        ("data", "The following arguments are required: COMMAND. See vidtx data --help."),
        ("date", "invalid choice: 'date'"),
        ("data build", "required: NAME, --videos, --out. See vidtx data build --help."),
        ("data build kinetics --videos=v --out=o", "invalid choice: 'kinetics'"),
        ("data build folder --videos=v", "required: --out"),
        (f"{BUILD} --max_bad=2", "--max_bad: '2' must be a share between 0 and 1"),
        (f"{BUILD} --max_bad=few", "--max_bad: 'few' must be a share between 0 and 1"),
        (f"{BUILD} --max-bad=0.1", "Unrecognized arguments: --max-bad=0.1"),
        (f"{BUILD} --max=0.1", "Unrecognized arguments: --max=0.1"),
        (f"{BUILD} --workers=0", "--workers: '0' must be a whole number, 1 or more"),
        (f"{BUILD} --shards=2.5", "--shards: '2.5' must be a whole number, 1 or more"),
        (f"{BUILD} --short_side=big", "--short_side: 'big' must be a whole number above 0, or"),
        (f"{BUILD} --short_side=8", "short_side is 8; it must be at least 16 pixels"),
        (f"{BUILD} --max_fps=-1", "--max_fps: '-1' must be a number above 0, or none"),
        (f"{BUILD} --max_fps=inf", "--max_fps: 'inf' must be a number above 0, or none"),
        (f"{BUILD} --storage=png", "--storage: invalid choice: 'png'"),
        (f"{BUILD} --jpeg_quality=80", "--jpeg_quality: --storage=canonical has no such choice"),
        (f"{BUILD} --storage=jpeg --jpeg_quality=101", "jpeg_quality is 101"),
        (f"{BUILD} --storage=as_is --short_side=64", "--short_side: --storage=as_is has no such"),
        ("data build folder --videos= --out=o", "--videos: '' must be the path of a file or"),
        ("data build folder --videos=v --out=", "--out: '' must be the path of a file or a folder"),
        (f"{BUILD} --annotations=", "--annotations: '' must be the path"),
        (f"{BUILD} --class_list=", "--class_list: '' must be the path"),
        (f"{BUILD} --fold=4", "fold is 4"),
        (f"{BUILD} --test_share=1", "test_share is 1.0"),
        (f"{BUILD} --min_videos=3", "min_videos=3 is no choice that folder has"),
        (f"{BUILD} --annotations", "--annotations: expected at least one argument"),
        (BUILD, "the folder of videos v does not exist"),
        (f"{BUILD} --config.data.frames=3", "--config.data.frames=3: this command reads no config"),
        ("data audit", "required: DIR"),
        ("data audit nowhere", "nowhere is no folder, and so is no data set"),
        ("data show --out=x.png", "required: --config"),
        ("data show --config=motions --out=x.png --mode=test", "--mode: invalid choice: 'test'"),
        ("data show --config=motions --out=x.png --clips=0", "--clips: '0' must be a whole number"),
    ],
)
def test_a_wrong_command_line_is_refused(tmp_path, monkeypatch, command, line, message):
    monkeypatch.chdir(tmp_path)
    told = command(*line.split(), code=2)
    assert told.err.startswith("vidtx: ")
    assert message in told.err
    assert told.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EACCES, "Mend the permissions there, or choose another place."),
        (errno.EPERM, "Mend the permissions there, or choose another place."),
        (errno.ENOSPC, "Free space, or choose another place."),
    ],
)
def test_a_refusing_disk_has_a_cure_that_fits(number, cure):
    known = explain(OSError(number, os.strerror(number), "place"))
    assert known.exit_code == 7
    assert str(known) == f"[Errno {number:d}] {os.strerror(number)}: 'place'. {cure}"


def test_with_json_an_error_is_an_object(command):
    told = command("data", "audit", "nowhere", "--json", code=2)
    assert told.json["error"]["exit_code"] == 2
    assert f"vidtx: {told.json['error']['message']}\n" == told.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--help", ("vidtx data build", "data", "benchmark")),
        ("data --help", ("build", "audit", "show")),
        (
            "data build -h",
            ("ucf101", "classInd.txt", "--max_bad SHARE", "(default: 0.01)"),
        ),
        ("data audit --help", ("--quick", "Exit code 0: sound. 5: ")),
        ("data show --help", ("--mode", "train[:10%]", "--config.data.frames=16")),
        ("--version", ("vidtx ",)),
    ],
)
def test_help_is_given(capsys, line, words):
    assert main(line.split()) == 0
    text = capsys.readouterr().out
    for word in words:
        assert word in text


def test_every_data_set_is_in_the_help(capsys):
    from data_pipelines.annotations import DATASETS

    assert main(["data", "build", "--help"]) == 0
    text = capsys.readouterr().out
    for kind in DATASETS.values():
        assert f"\n  {kind.name}\n" in text
        assert kind.summary in " ".join(text.split())
