"""Parts of the page: charts, confusions, clips, warnings, and how large it may become."""

import base64
import re

import numpy as np
import pytest

from tests.reporting.test_report import Page
from vidtx.reporting import write_report
from vidtx.reporting.files import as_path, read_bytes
from vidtx.reporting.time_spent import time_spent
from vidtx.reporting.warnings import run_warnings

LINES = [
    {"step": 10, "train/loss": 2.0, "train/accuracy": 0.1, "timing/clips_per_second": 8.0,
     "timing/input_wait": 0.25},
    {"step": 20, "train/loss": 1.0, "train/accuracy": 0.5, "timing/clips_per_second": 16.0,
     "timing/input_wait": 0.0, "timing/save_seconds": 1.5},
    {"step": 20, "eval/loss": 1.5, "eval/top1": 0.4, "timing/eval_seconds": 3.0},
    {"step": 30, "train/loss": 0.5, "train/accuracy": 0.75, "timing/clips_per_second": 16.0,
     "timing/input_wait": 0.0, "timing/draw_seconds": 2.0},
    {"step": 30, "eval/loss": 1.25, "eval/top1": 0.6, "timing/eval_seconds": 3.0,
     "timing/save_seconds": 0.5},
]  # fmt: skip
CONFIG = {"train": {"global_batch": 16}}


def report(folder, **values):
    given = {"title": "run", "config": CONFIG, "dataset": None, "evaluation": None, "pictures": {}}
    path = write_report(folder, **given | values)
    text = read_bytes(path).decode()
    return text, Page(text)


def warnings(**given):
    empty = {
        "config": {}, "dataset": {}, "evaluation": {}, "status": {}, "first_weights": {},
        "records": [],
    } | given  # fmt: skip
    spent = time_spent(empty["records"], 16)
    return run_warnings(spent=spent, **empty)


def test_a_line_goes_through_its_values(tmp_path):
    text, _ = report(tmp_path, metrics=LINES)
    (line,) = re.findall(r'class="line blue" d="M([^"]*)"', text.split("accuracy</b>")[0])
    points = np.array(line.split(), float).reshape(-1, 2)
    # Ticks enclose the values: 0.5 and 2.0 lie on the edges, or within them.
    steps, losses = points[:, 0], points[:, 1]
    assert steps.tolist() == pytest.approx([0, 500, 1000])
    assert losses[1] - losses[0] == pytest.approx(2 * (losses[2] - losses[1]), abs=0.2)
    assert losses[0] < losses[1] < losses[2]  # down the page
    assert "loss against the step: training from 2 at step 10 to 0.5 at step 30" in text
    assert "<title>evaluation, step 20: 1.5</title>" in text


def test_losses_that_are_not_finite_are_marked(tmp_path):
    lines = [*LINES, {"step": 40, "train/loss": float("nan")}]
    text, page = report(tmp_path, metrics=lines)
    assert text.count('class="lost"') == 1
    assert "training (dotted: not finite)" in page.text
    assert "1 figure is not finite, the first of them train/loss at step 40." in page.text


@pytest.mark.parametrize("lines", [[], [{"step": 1, "train/loss": float("inf")}], LINES[:1]])
def test_few_or_no_values_make_a_page_too(tmp_path, lines):
    text, _ = report(tmp_path, metrics=lines)
    drawn = re.findall(r' d="([^"]*)"', text)
    assert len(drawn) >= 5 * bool(lines)
    assert not any("nan" in path or "inf" in path for path in drawn)


def test_long_lines_are_thinned(tmp_path):
    lines = [{"step": n, "train/loss": 1 / n} for n in range(1, 20_001)]
    text, _ = report(tmp_path, metrics=lines)
    assert len(text) < 60_000


def test_where_the_time_went():
    spent = time_spent(LINES, global_batch=16)
    # 20 s, of which a quarter waiting; 10 s, of which saving 1.5; 10 s. The last save is after.
    assert spent.waiting == 5
    assert spent.computing == 20 + 10 + 10 - 5 - 1.5
    assert (spent.saving, spent.evaluating, spent.drawing) == (2, 6, 2)
    assert spent.total == 48.5 - 5 + 5
    assert spent.clips_per_second == 16
    assert spent.input_bound == pytest.approx(5 / 38.5)
    nothing = time_spent([], 16)
    assert (nothing.total, nothing.input_bound, nothing.evaluating) == (0, None, None)


def test_the_confusion_table_has_every_count(tmp_path):
    matrix = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    evaluation = {"class_names": ["a", "b", "<c>"], "confusion": matrix}
    text, _ = report(tmp_path, evaluation=evaluation)
    assert 'title="a taken for b: 1 of 4, 25.0 %">1</td>' in text
    assert '<tr class="none"><th scope="row">&lt;c&gt;</th>' in text
    assert text.count('<td style="--share:') == 3


def test_a_clip_plays_with_what_was_said_of_it(tmp_path):
    video = {"index": 7, "labels": [1], "label_probabilities": [0.125], "classes": [0, 2],
             "probabilities": [0.75, 0.25], "loss": 2.0}  # fmt: skip
    evaluation = {"step": 5, "class_names": ["a", "b<", "c"], "best": [], "worst": [video]}
    movie = base64.b64encode(b"movie").decode()
    clip = {"kind": "worst", "index": 7, "video_id": "v<7>", "mp4": movie, "poster": movie,
            "width": 20, "height": 10, "frames": 8, "seconds_apart": 0.5,
            "frame_weights": [0.25, 0.75]}  # fmt: skip
    clips = {"step": 5, "note": "", "clips": [clip]}
    text, page = report(tmp_path, evaluation=evaluation, clips=clips)
    assert f'src="data:video/mp4;base64,{movie}"' in text
    assert "autoplay" not in text
    words = page.text.splitlines()
    start = words.index("Most confidently wrong")
    assert words[start + 1 : start + 4] == ["b<", "taken for", "a"]
    assert words[words.index("✓") :][:3] == ["✓", "b<", "12.5 %"]  # below the guesses
    assert "record 7 · v<7> · 8 frames, 0.5\xa0s apart" in page.text
    assert "Weights of 2 frames; frame 1 has the most, 75.0 %" in text
    assert "No video was judged right." in page.text
    # Those of another evaluation are not its.
    text, page = report(tmp_path, evaluation=evaluation | {"step": 6}, clips=clips)
    assert "<video" not in text
    assert "not drawn yet" in page.text
    lost = {"kind": "worst", "index": 7, "problem": "gone & lost"}
    _, page = report(tmp_path, evaluation=evaluation, clips=clips | {"clips": [lost]})
    assert "gone & lost" in page.text


def test_of_many_labels_losses_are_told(tmp_path):
    video = {"index": 7, "labels": [0, 2], "label_probabilities": [0.9, 0.1], "classes": [0, 1, 2],
             "probabilities": [0.9, 0.2, 0.1], "loss": 0.5}  # fmt: skip
    evaluation = {"step": 5, "class_names": ["a", "b", "c"], "best": [video], "worst": [video],
                  "multi_label": True, "map": 0.5}  # fmt: skip
    _, page = report(tmp_path, evaluation=evaluation)
    for text in ("Highest loss", "Lowest loss", "a, c", "loss 0.5"):
        assert text in page.text
    assert "confidently" not in page.text


def test_a_page_of_many_classes_and_clips_is_no_larger_than_a_few_megabytes(tmp_path):
    random = np.random.RandomState(0)
    C, names = 400, [f"class number {number} of many" for number in range(400)]
    videos = [
        {"index": i, "labels": [i], "label_probabilities": [0.1], "classes": [1, 2, 3, 4, 5],
         "probabilities": [0.5, 0.2, 0.1, 0.1, 0.1], "loss": 2.0} for i in range(16)
    ]  # fmt: skip
    # As large as they are allowed to become; see tests/run/test_report_clips.py.
    movie = base64.b64encode(random.bytes(1 << 16)).decode()
    poster = base64.b64encode(random.bytes(1 << 15)).decode()
    clips = [
        {"kind": "best" if i < 8 else "worst", "index": i, "video_id": "x", "mp4": movie,
         "poster": poster, "width": 452, "height": 224, "frames": 96, "seconds_apart": 0.1,
         "frame_weights": [0.01] * 96} for i in range(16)
    ]  # fmt: skip
    evaluation = {
        "step": 1, "class_names": names, "counts": [50] * C, "accuracies": [0.5] * C,
        "confusion": random.randint(0, 3, (C, C)), "best": videos[:8], "worst": videos[8:],
    }  # fmt: skip
    from PIL import Image

    sheet = tmp_path / "sheet.png"
    Image.fromarray(random.randint(0, 256, (2000, 1500, 3), np.uint8)).save(sheet)
    text, _ = report(
        tmp_path, evaluation=evaluation, metrics=LINES * 500, pictures={"contact_sheet": sheet},
        clips={"step": 1, "note": "", "clips": clips},
    )  # fmt: skip
    assert text.count("<video ") == 16
    assert text.count("data:image/png") == 1  # the matrix; the sheet is a JPEG now
    assert len(text) < 4_000_000


def test_the_state_and_how_far_it_is(tmp_path):
    status = {"state": "running", "step": 30, "total": 120, "updated": "now", "starts": [0]}
    text, page = report(tmp_path, status=status)
    assert "running at step 30 of 120" in page.text
    assert '<progress value="30" max="120"' in text
    text, page = report(tmp_path, status=status | {"state": "finished", "step": 120})
    assert "finished" in page.text.splitlines()
    assert "<progress" not in text


JUDGED = {"class_names": ["a", "b"], "counts": [300, 0], "examples": 300, "top1": 0.5,
          "confusion": [[300, 0], [0, 0]]}  # fmt: skip
STATUS = {"state": "running", "step": 9, "total": 10, "starts": [0]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"status": STATUS | {"state": "diverged", "message": "m"}}, "it diverged at step 9 of 10"),
        ({"status": STATUS | {"starts": [0, 4]}}, "started 2 times; it went on after step 4"),
        ({"status": STATUS | {"state": "stopped"}, "evaluation": {"step": 5}}, "scores are of"),
        ({"records": [{"step": 1, "train/replaced": 3.0}]}, "3 unreadable clips were replaced"),
        ({"records": [{"step": 1, "train/loss": float("inf")}]}, "train/loss at step 1"),
        ({"evaluation": {"failed": 2, "failures": ["f"]}}, "2 videos could not be judged"),
        ({"dataset": {"dropped": {"test": {"absent": 4, "x": 0}}}}, "4 listed videos"),
        ({"dataset": {"source": "folder"}}, "read from files as they are"),
        ({"config": {"data": {"train_split": "t", "eval_split": "t"}}}, "it was trained on"),
        ({"evaluation": {"examples": 50, "top1": 0.5}}, "of 50 videos only"),
        ({"evaluation": JUDGED}, "1 class has no video"),
        ({"evaluation": JUDGED | {"confusion": [[2, 0], [1, 0]]}}, "1 class was never predicted"),
        ({"first_weights": {"source": "w", "entries": [{"fate": "new", "ours": "head.kernel",
          "how": "other classes"}]}}, "The head was begun anew"),
        ({"records": LINES[:1]}, "waited for data in 25.0 %"),
        ({"records": [LINES[1] | {"timing/mfu": 0.05}]}, "chips do 5.0 % of what they could"),
    ],
)  # fmt: skip
def test_what_is_warned_of(given, expected):
    found = warnings(**given)
    assert bool(found) == (expected is not None)
    if expected:
        assert any(expected in warning.what for warning in found)
        assert all(warning.cause or warning.cure for warning in found)


def test_all_is_told_at_once():
    found = warnings(
        status=STATUS | {"starts": [0, 4]}, dataset={"source": "folder"}, records=LINES[:1]
    )
    assert len(found) == 3


def test_a_page_in_a_bucket_is_that_of_a_folder(tmp_path, bucket):
    here, _ = report(tmp_path, metrics=LINES, evaluation=JUDGED)
    there, _ = report(as_path("gs://store/runs/x"), metrics=LINES, evaluation=JUDGED)
    assert there == here
    assert bucket.uploads == ["store/runs/x/report.html"]
