"""The report of a real tiny run: while it trains, at its end, stopped, resumed, in a browser."""

import base64
import io
import itertools
import json
import os
import shutil
import signal
import threading
import time

import av
import numpy as np
import pytest
from PIL import Image

from data_pipelines.records import open_split
from tests.browser import chromium
from tests.tiny_run import arguments, run_program
from vidtx import main
from vidtx.config import resolve
from vidtx.reporting import read_metrics
from vidtx.run.report import RunReport, Stopwatch
from vidtx.run.setup import set_up
from vidtx.training import StopSignal

LONG = {"train.steps": 60, "eval.every_steps": 30, "checkpoint.every_steps": 20}


_DECODED = """videos => Promise.all(videos.map(async video => {
  if (video.readyState < 2) await new Promise(done => { video.onloadeddata = done });
  return [video.videoWidth, video.videoHeight] }))"""
_PLAYED = """video => new Promise(done => {
  video.ontimeupdate = () => { if (video.currentTime > 0.1) done(video.currentTime) };
  video.play() })"""


def command(data_dir, workdir, **overrides):
    return arguments(data_dir, workdir, **LONG | overrides)


def read(folder, name):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def finished(motions_dir, tmp_path_factory):
    """The directory of a finished run, judged twice."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    assert main.main(command(motions_dir, workdir)) == 0
    return workdir


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def test_clips_are_those_that_the_evaluation_names(finished, motions_dir):
    evaluation, drawn = read(finished, "evaluation.json"), read(finished, "clips.json")
    assert (drawn["step"], drawn["note"]) == (60, "")
    source = open_split("motions", "test", motions_dir)
    named = [(kind, v["index"]) for kind in ("worst", "best") for v in evaluation[kind]]
    assert [(clip["kind"], clip["index"]) for clip in drawn["clips"]] == named
    assert len(named) >= 8  # 16 videos, up to 8 of each kind
    for kind in ("worst", "best"):
        for video in evaluation[kind]:
            assert video["labels"] == [source.label(video["index"])]
            assert (video["classes"][0] == video["labels"][0]) == (kind == "best")
            assert video["probabilities"] == sorted(video["probabilities"], reverse=True)
    for clip in drawn["clips"]:
        assert clip["video_id"] == source[clip["index"]]["video_id"]
        assert sum(clip["frame_weights"]) == pytest.approx(1, abs=1e-3)


def test_a_clip_is_the_video_as_it_was_fed_beside_its_attention(finished, motions_dir):
    clip = read(finished, "clips.json")["clips"][0]
    movie = io.BytesIO(base64.b64decode(clip["mp4"]))
    with av.open(movie) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == clip["frames"] == 4
    assert frames[0].shape == (clip["height"], clip["width"], 3) == (160, 324, 3)
    record = open_split("motions", "test", motions_dir)[clip["index"]]
    with av.open(io.BytesIO(record["video"])) as container:
        video = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    # Every second frame of the middle, 32 pixels enlarged five times.
    small = [frame[2::5, 2:160:5].astype(float) for frame in frames]
    start = min(
        range(len(video) - 6),
        key=lambda first: np.abs(np.stack(video[first : first + 7 : 2]) - small).mean(),
    )
    assert np.abs(np.stack(video[start : start + 7 : 2]) - small).mean() < 6
    assert abs(start - (len(video) - 7) / 2) <= 1
    with Image.open(io.BytesIO(base64.b64decode(clip["poster"]))) as poster:
        assert poster.size == (324, 160)


def test_the_page_is_of_a_finished_run(finished):
    status, page = read(finished, "status.json"), (finished / "report.html").read_text()
    assert (status["state"], status["step"], status["total"]) == ("finished", 60, 60)
    assert status["starts"] == [0]
    assert '<span class="state finished">finished</span>' in page
    assert "<progress" not in page
    assert 'http-equiv="refresh"' not in page
    evaluation = read(finished, "evaluation.json")
    assert page.count("<video ") == len(evaluation["best"]) + len(evaluation["worst"])
    assert page.count("<svg ") == 6
    fingerprint = read(finished, "dataset.json")["fingerprint"]
    assert fingerprint in page
    assert "The scores are of 16 videos only." in page
    assert len(page) < 2_000_000


def test_metrics_tell_what_was_not_training(finished):
    records = read_metrics(finished / "metrics.jsonl")
    judged = [record for record in records if "eval/loss" in record]
    assert [record["timing/eval_seconds"] > 0 for record in judged] == [True, True]
    assert sum("timing/save_seconds" in record for record in records) == 3
    assert sum("timing/draw_seconds" in record for record in records) == 1  # the second ends it


def test_a_run_that_is_stopped_says_so_and_resumed_writes_the_same(
    finished, motions_dir, tmp_path, capfd
):
    workdir = tmp_path / "run"
    over = threading.Event()

    def stop_after_a_line():
        metrics = workdir / "metrics.jsonl"
        while not over.is_set() and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop_after_a_line)
    thread.start()
    try:
        assert main.main(command(motions_dir, workdir)) == 4
    finally:
        over.set()
        thread.join()
    status, page = read(workdir, "status.json"), (workdir / "report.html").read_text()
    assert status["state"] == "stopped"
    assert 2 <= status["step"] < 60
    assert f"it was stopped at step {status['step']} of 60" in page
    assert "The same command goes on from there." in page

    assert main.main(command(motions_dir, workdir)) == 0
    assert read(workdir, "status.json")["starts"] == [0, status["step"]]
    for name in ("evaluation.json", "clips.json"):
        assert read(workdir, name) == read(finished, name)
    assert "The run was started 2 times" in (workdir / "report.html").read_text()


def test_a_run_that_diverges_says_so(motions_dir, tmp_path):
    workdir = tmp_path / "run"
    overrides = {"optimizer.learning_rate": 1e30, "optimizer.clip_norm": None}
    assert main.main(command(motions_dir, workdir, **overrides)) == 3
    assert read(workdir, "status.json")["state"] == "diverged"
    page = (workdir / "report.html").read_text()
    assert "it diverged at step" in page
    assert "optimizer.learning_rate" in page
    assert "Not evaluated yet." in page


def test_a_report_that_cannot_be_written_stops_no_run(finished, motions_dir, tmp_path, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    for name in ("report.html", "clips.json"):
        (workdir / name).unlink()
        (workdir / name / "in the way").mkdir(parents=True)
    before = (workdir / "evaluation.json").read_text()
    (workdir / "evaluation.json").unlink()
    assert main.main(command(motions_dir, workdir)) == 0
    assert (workdir / "evaluation.json").read_text() == before
    output = capsys.readouterr().out
    assert output.count("NOTE: the report could not be brought up to date") == 1
    assert "report.html" in output or "clips.json" in output


def test_lines_of_metrics_write_the_page_at_most_every_half_minute(
    finished, tiny_config, motions_dir, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    clips = (workdir / "clips.json").read_bytes()
    now, notes = [1000.0], []
    overrides = {"train.steps": 60, "eval.every_steps": 30}
    setup = set_up(resolve(tiny_config(**overrides)), StopSignal(), may_build=False)
    report = RunReport(workdir, setup, step=20, note=notes.append, clock=lambda: now[0])

    def shown():
        return read(workdir, "status.json")["step"]

    assert shown() == 20
    for seconds, step, expected in ((10, 22, 20), (19.9, 24, 20), (0.2, 26, 26), (29, 28, 26)):
        now[0] += seconds
        report.logged(step)
        assert shown() == expected
    page = (workdir / "report.html").read_text()
    assert "running at step 26 of 60" in page
    assert '<progress value="26" max="60"' in page
    assert page.count("<video ") == len(json.loads(clips)["clips"])  # of the last evaluation
    assert (workdir / "clips.json").read_bytes() == clips
    assert notes == []


def test_a_stopwatch_counts_parts_until_it_is_asked():
    now = [0.0]
    watch = Stopwatch(lambda: now[0])
    for part, seconds in (("save", 2), ("eval", 5), ("save", 1)):
        with watch.measured(part):
            now[0] += seconds
        now[0] += 100
    assert watch.seconds() == {"timing/save_seconds": 3, "timing/eval_seconds": 5}
    assert watch.seconds() == {}


def test_a_video_that_has_become_unreadable_is_told_on_its_card(finished, tmp_path, motions_dir):
    from tests.faults.test_bad_data import spoil_videos

    workdir, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(finished, workdir)
    shutil.copytree(motions_dir, data)
    spoil_videos(data, "test", {3})
    (workdir / "dataset.json").unlink()  # which knows the former data
    overrides = {"data.max_bad": 0.2}
    assert main.main([*command(data, workdir, **overrides), "--mode=eval"]) == 0
    evaluation, page = read(workdir, "evaluation.json"), (workdir / "report.html").read_text()
    assert (evaluation["examples"], evaluation["failed"]) == (15, 1)
    assert evaluation["failures"][0].startswith("record 3 (")
    assert "1 video could not be judged" in page
    assert evaluation["failures"][0].split(":")[0] in page


def test_of_many_views_the_middle_one_is_shown(finished, motions_dir, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    views = {"eval.temporal_views": 3, "eval.spatial_crops": 3}
    assert main.main([*command(motions_dir, workdir, **views), "--mode=eval"]) == 0
    drawn = read(workdir, "clips.json")
    assert drawn["note"] == ""
    # Of three views the second is that of one.
    alone = {clip["index"]: clip["mp4"] for clip in read(finished, "clips.json")["clips"]}
    both = [clip for clip in drawn["clips"] if clip["index"] in alone]
    assert both
    assert all(clip["mp4"] == alone[clip["index"]] for clip in both)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_the_page_in_a_browser(finished, browser, tmp_path, scheme, width):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    address = (finished / "report.html").as_uri()
    page.goto(address)
    videos = page.locator("video")
    count = videos.count()
    assert count == len(read(finished, "clips.json")["clips"])
    # Not `wait_for_function`, which the page's own policy forbids.
    sizes = videos.evaluate_all(_DECODED)
    assert all(size == [324, 160] for size in sizes)
    first = videos.first
    assert first.evaluate("v => v.paused && v.muted && v.controls && !v.autoplay")
    assert first.evaluate(_PLAYED) > 0.1
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    curve = page.locator("svg[role=img] path.line.blue").first
    assert curve.evaluate("p => p.getTotalLength()") > 100
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.evaluate("[...document.images].every(i => i.alt && i.naturalWidth > 0)")
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"), float)
    assert picture.std() > 10
    assert (picture[2, 2] > 200) == (scheme == "light")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    context.close()


@pytest.mark.slow
def test_split_weights_leave_attention_out(motions_dir, tmp_path):
    workdir = tmp_path / "run"
    found = run_program(
        "tests.run.report_of_split_weights", str(motions_dir), str(workdir), devices=2
    )
    assert found["code"] == 0
    drawn = read(workdir, "clips.json")
    assert "the weights are split over devices" in drawn["note"]
    assert all("frame_weights" not in clip and clip["width"] == 160 for clip in drawn["clips"])
    assert "the weights are split over devices" in (workdir / "report.html").read_text()
