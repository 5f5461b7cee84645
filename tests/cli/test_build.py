"""``vidtx data build`` from the command line to a data set that can be trained on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid

import pytest

from data_pipelines.build import read_manifest
from data_pipelines.records import describe, open_split
from tests.tiny_run import environment


def test_a_folder_becomes_a_data_set(data_dir, videos, command, build_command):
    source = open_split("mine", "train", data_dir)
    names = sorted(source[number]["video_id"] for number in range(len(source)))
    assert names[0] == "train/fall down/-clip 0.mp4"
    assert source.class_names == ("fall down", "get#up")
    assert (source[0]["height"], source[0]["width"]) == (32, 56)
    # It is there: building it again costs nothing, and says the same.
    told = command(*build_command(videos, data_dir))
    lines = [line.split() for line in told.out.splitlines()]
    assert ["split", "listed", "found", "missing"] in lines
    assert ["train", "6", "6", "0"] in lines
    assert ["split", "listed", "found", "stored", "records", "size"] in lines
    assert any(line[:5] == ["validation", "3", "3", "3", "3"] for line in lines)
    fingerprint = describe("mine", data_dir).fingerprint
    before = f"{data_dir / 'mine' / '1.0.0'} was built before, fingerprint {fingerprint}; its"
    assert f"\n{before} sources were not looked at again.\n" in told.out
    assert "Built in" not in told.out
    assert f"  vidtx data audit {data_dir / 'mine' / '1.0.0'}\n" in told.out
    assert f"--config.data.data_dir={data_dir} --config.data.name=mine --workdir=" in told.out


def test_the_folder_of_videos_may_hold_the_data_sets(tmp_path, monkeypatch, videos, command):
    """With paths as people type them: relative, or below the home folder."""
    shutil.copytree(videos / "train", tmp_path / "home" / "clips")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "home" / "clips")
    line = ["data", "build", "folder", "--name=mine", "--storage=as_is", "--workers=1"]
    told = command(*line, "--videos=.", "--out=data")
    assert f"Built in {os.path.join('data', 'mine', '1.0.0')}, fingerprint" in told.out
    told = command(*line, "--videos=~/clips", "--out=~/clips/data")
    assert "was built before" in told.out
    folder = tmp_path / "home" / "clips" / "data" / "mine" / "1.0.0"
    for path in folder.glob("*"):
        path.unlink()
    (folder / ".building").mkdir()  # of a build that was stopped
    assert "2 classes" in command(*line, "--videos=.", "--out=data", "--dry_run").out


def test_names_of_any_bytes_can_be_printed_anywhere(tmp_path, videos):
    shutil.copytree(videos / "train", tmp_path / "videos")
    (tmp_path / "videos" / os.fsdecode(b"bad\xff.mp4")).touch()
    line = ["folder", f"--videos={tmp_path / 'videos'}", "--out=o", "--name=mine", "--dry_run"]
    for encoding, rule in (("utf-8:strict", "─"), ("ascii", r"\u2500")):
        result = subprocess.run(
            [sys.executable, "-m", "vidtx", "data", "build", *line],
            env=environment() | {"PYTHONIOENCODING": encoding},
            capture_output=True,
        )
        assert result.returncode == 0, result.stderr
        out = result.stdout.decode("utf-8")
        assert r"Video files that nothing lists: bad\udcff.mp4." in out
        assert rule in out


def test_with_json_the_manifest_alone_is_printed(data_dir, videos, command, build_command):
    told = command(*build_command(videos, data_dir, "--json"))
    manifest = data_dir / "mine" / "1.0.0" / "manifest.json"
    assert told.out == manifest.read_text()
    assert told.json["splits"]["train"]["stored"] == 6
    assert "listed  found" in told.err


def test_a_dry_run_opens_and_writes_nothing(tmp_path, videos, command, build_command):
    copy = tmp_path / "videos"
    shutil.copytree(videos, copy)
    for path in copy.rglob("*.mp4"):
        path.write_bytes(b"nothing that could be opened")
    told = command(*build_command(copy, tmp_path / "out", "--dry_run", "--json"))
    assert told.json["splits"]["train"] == {"listed": 6, "found": 6, "missing": []}
    assert told.json["class_names"] == ["fall down", "get#up"]
    assert "Nothing was built" in told.err
    assert not (tmp_path / "out").exists()


def test_missing_bad_and_unlisted_videos_are_told(tmp_path, monkeypatch, videos, command):
    copy = tmp_path / "-v"  # to be given with an equals sign
    shutil.copytree(videos / "train" / "fall down", copy)
    (copy / "-bad.mp4").write_bytes(b"nonsense")
    (copy / "extra.mp4").write_bytes(b"never opened")
    rows = [*(f"-clip {number}.mp4,3" for number in (0, 4, 6)), "-bad.mp4,2", "-gone.mp4,2"]
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    line = ["data", "build", "list", f"--annotations={tmp_path / 'train.csv'}", "--workers=1",
            f"--out={tmp_path / 'out'}", "--name=few", "--storage=as_is"]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    told = command(*line, "--videos=-v", code=5)
    listed = [row.split() for row in told.out.splitlines()]
    assert ["train", "5", "4", "1"] in listed
    assert "Listed, and no file found: " in told.out
    assert "-gone" in told.out
    assert "Video files that nothing lists: extra.mp4." in told.out
    assert "1 missing_file" in told.err
    told = command(*line, "--videos=-v", "--max_bad=0.3", code=5)
    assert "1 missing_file" in told.err
    assert "1 undecodable" in told.err
    assert not (tmp_path / "out" / "few" / "1.0.0" / "dataset_info.json").exists()

    told = command(*line, "--videos=-v", "--max_bad=0.4")
    listed = [row.split() for row in told.out.splitlines()]
    header = ["split", "listed", "found", "missing_file", "undecodable", "stored"]
    assert any(row[:6] == header for row in listed)
    assert any(row[:6] == ["train", "5", "4", "1", "1", "3"] for row in listed)
    assert "Left out, for the reasons in " in told.out
    assert read_manifest(tmp_path / "out" / "few" / "1.0.0").splits["train"].missing == 1


def test_another_data_set_in_its_place_is_left_alone(data_dir, videos, command, build_command):
    told = command(*build_command(videos, data_dir, "--max_fps=10"), code=2)
    assert "holds a finished data set of other videos, annotations or settings" in told.err


def test_a_bad_row_names_its_file_and_line(tmp_path, videos, command):
    path = tmp_path / "train.csv"
    path.write_text("a.mp4,0\nb.mp4\n")
    line = ["data", "build", "list", f"--videos={videos}", f"--out={tmp_path}"]
    told = command(*line, f"--annotations={path}", code=2)
    assert f"{path}:2: got " in told.err


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_told(tmp_path, videos, command, build_command, place):
    (tmp_path / "file").write_text("precious")
    assert command(*build_command(videos, tmp_path / place), code=2).err.startswith("vidtx: ")
    assert (tmp_path / "file").read_text() == "precious"


def test_ctrl_c_stops_it_and_the_same_command_goes_on(tmp_path, make_frames, write_video, command):
    video = write_video(make_frames(48, 96, 128))
    for number in range(40):
        path = tmp_path / "videos" / f"class {number % 2}" / f"clip {number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(video)
    line = ["data", "build", "folder", f"--videos={tmp_path / 'videos'}", "--workers=2",
            f"--out={tmp_path}", "--name=long", "--test_share=0", "--shards=20"]  # fmt: skip
    marker = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "vidtx", *line],
        env=environment() | {"VIDTX_TEST": marker},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = tmp_path / "long" / "1.0.0"
    deadline = time.monotonic() + 120
    while not list(folder.glob(".building/*.done.json")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "SIGINT: stopping; finished shards are kept. Once more stops at once." in err
    assert "Stopped by SIGINT. The same command goes on at the last finished shard." in err
    assert "Traceback" not in err
    assert "Built in" not in out
    assert not processes_of(marker)

    # One that was killed between a shard and the note of it has that shard built again.
    notes = [note.name[: -len(".done.json")] for note in folder.glob(".building/*.done.json")]
    names = [f"long-{note.replace('-', '.array_record-')}-of-00020" for note in notes]
    shards = {folder / name: (folder / name).stat().st_mtime_ns for name in names}
    assert 0 < len(shards) < 20
    told = command(*line, "--json")
    assert told.json["splits"]["train"]["stored"] == 40
    assert all(path.stat().st_mtime_ns == made for path, made in shards.items())
    assert json.loads((folder / "manifest.json").read_text()) == told.json


def processes_of(marker):
    """Processes that have inherited this from the one that was started."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if marker.encode() in file.read():
                    found.append(name)
        except OSError:
            continue
    return found
