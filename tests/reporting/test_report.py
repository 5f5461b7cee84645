import base64
import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vidtx.reporting import write_report

EVIL = "<script>alert('x')</script> & \"co\""


class Page(HTMLParser):
    """Collects the tags, the attributes and the text of a page."""

    void = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []  # every element is closed, in order

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data.strip())

    @property
    def text(self):
        return "\n".join(filter(None, self.words))


@dataclasses.dataclass(frozen=True)
class Train:
    global_batch: int = 64
    note: str = EVIL


@dataclasses.dataclass(frozen=True)
class Config:
    scheme: str = "divided"
    train: Train = dataclasses.field(default_factory=Train)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "curves.png"
    Image.new("RGB", (4, 4), (1, 2, 3)).save(path)
    return path


def _report(workdir, **changes):
    values = {
        "title": "k400 divided",
        "config": Config(),
        "dataset": {"fingerprint": "sha256:abc", "counts": {"train": {"clips": np.int64(240436)}}},
        "evaluation": {
            "eval/top1": np.float32(0.7804),
            "top5": 0.935,
            "loss": 0.91,
            "examples": 19881,
            "views": 3,
            "class_names": [EVIL, "archery", "unseen"],
            "counts": np.array([10, 20, 0]),
            "accuracies": np.array([0.5, 0.25, np.nan]),
            "confusion": np.array([[5, 5, 0], [15, 5, 0], [0, 0, 0]]),
        },
        "pictures": {},
    }
    path = write_report(workdir, **values | changes)
    assert path == workdir / "report.html"
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_says_what_the_run_came_to(tmp_path):
    _, page = _report(tmp_path)
    for text in (
        "k400 divided", "78.0 %", "93.5 %", "0.91", "19,881", "views", "sha256:abc",
        "counts / train / clips", "240,436", '"global_batch": 64', "3 classes, lowest",
    ):  # fmt: skip
        assert text in page.text
    words = page.text.splitlines()
    # Worst class first, the one without clips last.
    start = words.index("3 classes, lowest accuracy first")
    order = [word for word in words[start:] if word in ("archery", EVIL, "unseen")]
    assert order == ["archery", EVIL, "unseen"]
    # Most confused: archery taken for the first class, 15 of 20.
    start = words.index("Most confused")
    assert words[start + 5 : start + 9] == ["archery", EVIL, "15", "75.0 %"]


def test_the_page_of_many_labels_has_precisions_and_no_confusions(tmp_path):
    evaluation = {
        "map": 0.375,
        "hit1": 0.5,
        "loss": 0.2,
        "class_names": ["archery", "bowling", "unseen"],
        "counts": [10, 20, 0],
        "average_precisions": [0.5, 0.25, None],
        "classes_without_videos": 1,
    }
    _, page = _report(tmp_path, evaluation=evaluation)
    words = page.text.splitlines()
    # The headline, the most telling figure first.
    headline = ["37.5 %", "mean average precision", "50.0 %", "hit@1"]
    start = words.index("37.5 %")
    assert words[start : start + 4] == headline
    start = words.index("3 classes, lowest average precision first")
    assert words[start + 1 :][:3] == ["class", "clips", "average precision"]
    order = [word for word in words[start:] if word in evaluation["class_names"]]
    assert order == ["bowling", "archery", "unseen"]
    assert words[words.index("classes_without_videos") + 1] == "1"
    assert "top-1" not in page.text
    assert "Most confused" not in page.text
    assert "average_precisions" not in words  # in the table, and not listed again


def test_everything_is_escaped(tmp_path):
    text, page = _report(
        tmp_path,
        title=EVIL,
        dataset={EVIL: {EVIL: [EVIL]}},
        pictures={},
    )
    assert "script" not in page.tags
    assert "<script" not in text
    assert page.text.count("<script>alert") >= 6


def test_the_page_stands_alone(tmp_path, picture):
    text, page = _report(tmp_path, pictures={"curves": picture, EVIL: str(picture)})
    sources = [value for name, value in page.attributes if name in ("src", "href")]
    encoded = base64.b64encode(picture.read_bytes()).decode()
    assert sources == [f"data:image/png;base64,{encoded}"] * 2
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert not {"link", "script", "iframe"} & set(page.tags)
    assert "Curves" in page.text


def test_a_run_without_evaluation_has_a_report(tmp_path):
    _, page = _report(tmp_path, evaluation=None, dataset=None, config={})
    assert "Not evaluated yet." in page.text
    assert "Classes" not in page.text


def test_many_classes_and_long_lists_are_folded(tmp_path):
    C = 400
    evaluation = {"class_names": ["c"] * C, "counts": [1] * C, "accuracies": [1.0] * C}
    _, page = _report(tmp_path, evaluation=evaluation, dataset={"names": ["n"] * C})
    assert ("open", None) not in page.attributes
    assert "n, n, n, n, n, n, n, n, n, n, n, n, … (400 in all)" in page.text


def test_pictures_of_other_kinds_leave_the_old_report(tmp_path):
    _report(tmp_path)
    before = (tmp_path / "report.html").read_bytes()
    movie = tmp_path / "movie.png"
    movie.write_bytes(b"\0\0\0 ftypisom")
    with pytest.raises(ValueError, match=r"movie\.png is neither PNG"):
        _report(tmp_path, pictures={"x": movie})
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        _report(tmp_path, pictures={"x": tmp_path / "none.png"})
    assert (tmp_path / "report.html").read_bytes() == before
