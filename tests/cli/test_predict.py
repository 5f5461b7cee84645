"""``vidtx predict``: answers for people and for programs, and what becomes of bad files."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.inference.asked import CLASS_NAMES, write_weights
from vidtx.cli import main
from vidtx.inference import Predictor


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "run", scale=3.0)


@pytest.fixture(scope="session")
def clips(tmp_path_factory, make_frames, write_video):
    folder = tmp_path_factory.mktemp("clips")
    for number, count in ((2, 20), (10, 12), (1, 1)):
        data = write_video(make_frames(count, 36, 48, seed=number))
        (folder / f"clip{number}.mp4").write_bytes(data)
    (folder / "notes.txt").write_text("no video")
    return folder


def test_answers_as_a_table_json_and_csv(command, clips, weights, tmp_path):
    table = tmp_path / "new" / "answers.csv"
    asked = ("predict", clips, f"--weights={weights}", "--top=2")
    shown = command(*asked, f"--csv={table}").out
    told = command(*asked, "--json").json
    assert [os.path.basename(answer["video"]) for answer in told["answers"]] == [
        "clip1.mp4", "clip2.mp4", "clip10.mp4"
    ]  # fmt: skip
    assert told["passed_over"] == 1
    assert told["failed"] == told["in_part"] == told["not_asked"] == 0
    assert told["preprocessing"]["clips"]["spatial_crops"] == 3
    predictor = Predictor.load(weights)
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
    assert len(rows) == 6
    for answer, row in zip(told["answers"], rows[::2], strict=True):
        wanted = predictor.predict(answer["video"]).probabilities
        np.testing.assert_allclose(answer["probabilities"], wanted, atol=1e-5)
        best = answer["top"][0]
        assert best["name"] == CLASS_NAMES[int(wanted.argmax())] == row["class"]
        assert row["video"] == answer["video"]
        assert float(row["probability"]) == pytest.approx(best["probability"], abs=1e-5)
        assert len(answer["top"]) == 2
        place = shown.index(answer["video"])
        assert f"{best['probability']:.1%}  {best['name']}" in shown[place : place + 200]
    assert "1 other file passed over" in shown


def test_bad_files_are_told_and_the_others_answered(command, clips, weights, tmp_path):
    bad, table = tmp_path / "bad.mp4", tmp_path / "answers.csv"
    bad.write_bytes(b"no video" * 100)
    asked = ("predict", bad, clips / "clip2.mp4", tmp_path / "gone.mp4", f"--weights={weights}")
    told = command(*asked, "--json", f"--csv={table}", code=5).json
    assert [answer["status"] for answer in told["answers"]] == ["failed", "ok", "failed"]
    assert [answer.get("kind") for answer in told["answers"]] == [
        "undecodable", None, "missing_file"
    ]  # fmt: skip
    assert told["failed"] == 2
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
    assert [row["status"] for row in rows] == ["undecodable", *["ok"] * 5, "missing_file"]
    shown = command(*asked, code=5).out
    assert f"{bad}  failed (undecodable)" in shown
    assert "2 of 3 videos failed" in shown


def test_what_was_named_and_holds_no_video_is_told(command, clips, weights, tmp_path):
    (tmp_path / "empty").mkdir()
    asked = ("predict", clips / "clip2.mp4", f"{tmp_path}/*.mov", tmp_path / "empty")
    asked = (*asked, f"--weights={weights}")
    told = command(*asked, "--json", code=5).json
    assert [answer["status"] for answer in told["answers"]] == ["ok"]
    assert len(told["missing"]) == 2
    shown = command(*asked, code=5).out
    assert f"No video was found for:\n  - {tmp_path}/*.mov: no file matches" in shown
    assert f"  - {tmp_path}/empty: a folder with no files" in shown


def test_names_of_any_bytes_are_answered_and_written(command, clips, weights, tmp_path):
    path, table, out = tmp_path / os.fsdecode(b"caf\xe9.mp4"), tmp_path / "a.csv", tmp_path / "out"
    path.write_bytes((clips / "clip10.mp4").read_bytes())
    bad = tmp_path / os.fsdecode(b"b\xe9.mp4")
    asked = ("predict", path, bad, f"--weights={weights}", "--json", f"--csv={table}")
    told = command(*asked, "--timeline", f"--out={out}", code=5).json
    assert [answer["video"] for answer in told["answers"]] == [str(path), str(bad)]
    assert [answer["status"] for answer in told["answers"]] == ["ok", "failed"]
    assert Image.open(told["answers"][0]["files"]["picture"]).width == 1600
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
    assert {os.path.basename(row["video"]) for row in rows} == {"caf\\udce9.mp4", "b\\udce9.mp4"}


def test_timelines_are_written_as_pictures_and_tables(command, clips, weights, tmp_path):
    out = tmp_path / "out"
    asked = ("predict", clips / "clip2.mp4", f"--weights={weights}", "--timeline", "--hop=0.1")
    told = command(*asked, f"--out={out}", "--json").json
    (answer,) = told["answers"]
    timeline = answer["timeline"]
    picture = Image.open(answer["files"]["picture"])
    assert picture.width == 1600
    with open(answer["files"]["windows"], encoding="utf-8-sig", newline="") as table:
        rows = list(csv.reader(table))
    assert rows[0] == ["start", "end", "top", *CLASS_NAMES]
    assert len(rows) - 1 == len(timeline["starts"]) > 2
    np.testing.assert_array_equal(
        np.array([row[3:] for row in rows[1:]], float), timeline["probabilities"]
    )
    shown = command(*asked).out
    assert timeline["segments"][0]["name"] in shown.partition("class\n")[2]


def test_wrong_use_is_told_before_anything_is_loaded(command, clips, weights, tmp_path):
    asked = ("predict", clips, f"--weights={weights}")
    assert "CLIPSxCROPS" in command(*asked, "--views=3x2", code=2).err
    assert "--hop, --out" in command(*asked, "--hop=1", f"--out={tmp_path}", code=2).err
    assert "no such file" in command("predict", tmp_path / "x", "--weights=none", code=2).err
    mine = tmp_path / "mine.csv"
    mine.write_text("precious")
    assert "is no table of answers" in command(*asked, f"--csv={mine}", code=2).err
    assert mine.read_text() == "precious"
    names = tmp_path / "names.txt"
    names.write_text("one\ntwo\n")
    assert "2 names" in command(*asked, f"--class_names={names}", code=2).err


def test_heads_that_nothing_trained_are_refused(command, clips, tmp_path):
    new = write_weights(tmp_path / "new", head_is_new=True)
    assert "never been trained" in command("predict", clips, f"--weights={new}", code=6).err


def test_ctrl_c_leaves_what_was_answered(clips, weights, tmp_path):
    """The signal comes once the first answer is written, in a process of its own."""
    folder = tmp_path / "many"
    folder.mkdir()
    data = (clips / "clip2.mp4").read_bytes()
    for number in range(3000):
        (folder / f"{number}.mp4").write_bytes(data)
    table = tmp_path / "answers.csv"
    command = [sys.executable, "-m", "vidtx", "predict", str(folder), f"--weights={weights}",
               f"--csv={table}", "--json", "--views=10x3"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and (not table.exists() or table.stat().st_size < 200):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 4, err
    told = json.loads(out)
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
    assert len(rows) == 5 * len(told["answers"])
    assert told["not_asked"] == 3000 - len(told["answers"]) > 0
    assert told["error"]["exit_code"] == 4


def test_help_names_every_exit_code(capsys):
    assert main(["predict", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{code}:" in shown for code in (2, 4, 5, 6, 7))
