"""``vidtx embed``."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.inference.exporting import checkpoint
from tests.tiny_run import ROOT


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A checkpoint of a tiny model; not to be changed."""
    return checkpoint(tmp_path_factory.mktemp("run") / "run")


def test_a_folder_of_videos(command, run, videos, tmp_path):
    out = tmp_path / "features.parquet"
    text = command("embed", videos, f"--weights={run}", f"--out={out}", "--per=video").out
    assert text.splitlines() == [
        f"{out}: 9 rows of 16 numbers, of 9 videos",
        "  1 other files passed over: no video by its suffix",
    ]
    table = pq.read_table(out).to_pydict()
    assert set(table["label"]) == {"fall down", "get#up"}
    assert len(set(map(tuple, table["embedding"]))) == 9


def test_bad_files_are_told_of_and_left_out(command, run, videos, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "text.mp4").write_text("no video")
    good = next(videos.rglob("*.mp4"))
    line = (
        "embed", tmp_path / "in", good, tmp_path / "absent.mp4", f"--weights={run}", "--hop=0.2",
        f"--out={tmp_path / 'a.npz'}", "--json",
    )  # fmt: skip
    told = command(*line, code=5)
    kinds = {os.path.basename(one["video"]): one["kind"] for one in told.json["failed"]}
    assert kinds == {"text.mp4": "undecodable", "absent.mp4": "missing_file"}
    assert "FAILED" in told.err
    assert told.json["videos"] == 3
    with np.load(tmp_path / "a.npz") as arrays:
        assert set(arrays["video"]) == {str(good)}
        assert len(arrays["embedding"]) == told.json["rows"] > 1


def test_what_was_named_and_holds_no_video_is_told(command, run, videos, tmp_path):
    good = next(videos.rglob("*.mp4"))
    line = ("embed", good, f"{tmp_path}/*.mov", f"--weights={run}", f"--out={tmp_path / 'a.npz'}")
    told = command(*line, "--json", code=5)
    assert told.json["missing"] == [f"{tmp_path}/*.mov: no file matches"]
    assert f"NO VIDEO {tmp_path}/*.mov" in told.err
    assert told.json["videos"] == 1


def test_exit_codes_say_whose_fault_it_is(command, run, videos, tmp_path):
    weights, out = f"--weights={run}", f"--out={tmp_path / 'a.npz'}"
    assert "no videos" in command("embed", tmp_path, weights, out, code=2).err
    assert "no file or folder" in command("embed", videos, "--weights=no", out, code=2).err
    assert "must end in" in command("embed", videos, weights, "--out=a.csv", code=2).err
    assert "above 0" in command("embed", videos, weights, out, "--hop=0", code=2).err
    assert "views is" in command("embed", videos, weights, out, "--views=2x2", code=2).err
    (tmp_path / "a.npz").write_bytes(b"mine")
    assert "is there already" in command("embed", videos, weights, out, code=2).err
    assert (tmp_path / "a.npz").read_bytes() == b"mine"


def test_a_signal_stops_it_and_the_same_command_goes_on(command, run, videos, tmp_path):
    some = sorted(videos.rglob("*.mp4"))
    # More than a part of them, each of its own name.
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.mp4").write_bytes(some[number % len(some)].read_bytes())
    out = tmp_path / "a.parquet"
    line = ["embed", str(folder), f"--weights={run}", f"--out={out}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vidtx", *line],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    parts = tmp_path / ".a.parquet.unfinished"
    while process.poll() is None and not (parts / "000000.parquet").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "The same command goes on" in err
    assert not out.exists()
    told = command(*line, "--json").json
    assert 16 <= told["before"] < 60
    assert told["rows"] == 60 * 6
    assert not parts.exists()
