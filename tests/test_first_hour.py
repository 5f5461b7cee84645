"""docs/first_hour.md: its commands do what it says, as they stand there, from first to last."""

import importlib.util
import json
import os
import pathlib
import re
import shlex
import sys

import pytest

from data_pipelines.sample_videos import LABELS, PASSAGE_SECONDS
from tests.tiny_run import ROOT
from vidtx.cli.arguments import parse

_spec = importlib.util.spec_from_file_location("first_hour", ROOT / "docs" / "build_first_hour.py")
first_hour = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(first_hour)

PAGE = first_hour.PAGE.read_text()
PARTS = tuple(first_hour.parts_of(PAGE))
LABEL = re.compile(rf"\b({'|'.join(LABELS)})\b")


def shape_of(line):
    """A line without what differs between runs and machines: numbers, digests, which label."""
    line = re.sub(r"\b[0-9a-f]{12,}\b", "DIGEST", line)
    line = LABEL.sub("LABEL", re.sub(r"\d[\d,.:]*", "0", line))
    return " ".join(re.sub(r"─+", "─", line).split())


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    """The folder that the page's commands were run in, and what each block of them printed."""
    folder, programs = tmp_path_factory.mktemp("hour"), tmp_path_factory.mktemp("programs")
    # For a Python that has vidtx on its path and did not install it.
    (programs / "vidtx").write_text(f'#!/bin/sh\nexec {sys.executable} -m vidtx "$@"\n')
    (programs / "vidtx").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(programs), prepend=os.pathsep)
        # These runs train for long enough that what is compiled must be fast.
        patch.delenv("XLA_FLAGS", raising=False)
        printed = [first_hour.run(part.body, folder) for part in PARTS if part.kind == "bash"]
    return folder, printed


def test_it_prints_what_the_page_shows(hour):
    folder, printed = hour
    blocks = iter(printed)
    shown = 0
    for part in PARTS:
        if part.kind == "bash":
            now = first_hour.shown(next(blocks), "", folder).splitlines()
        elif part.kind == "prints":
            lines = iter([shape_of(line) for line in now])
            for line in part.body.splitlines():
                shown += line != "…"
                missing = f"{line!r} is shown, and not printed in its place among {now}"
                assert line == "…" or shape_of(line) in lines, missing
    assert shown > 60


def test_the_broken_files_are_told_of_with_exit_code_5(hour):
    told = [text for text in hour[1] if text.endswith("exit code 5\n")]
    assert ["copy.mp4" in text for text in told] == [True, False]
    assert "broken.mp4" in told[1]
    assert "exit code" not in "".join(set(hour[1]) - set(told))


def test_the_model_is_right_on_most_of_what_it_was_not_shown(hour):
    scores = json.loads((hour[0] / "runs" / "mine" / "evaluation.json").read_text())
    assert scores["examples"] == 21
    assert scores["top1"] >= 0.8
    printed = next(text for text in hour[1] if "broken.mp4" in text)
    answers = re.findall(r"^new_videos/(\w+)/\S+ .*\n +[\d.]+ ?%  (\w+)$", printed, re.MULTILINE)
    assert len(answers) == 8
    assert sum(label == answer for label, answer in answers) >= 6


def test_the_timeline_says_what_happens_when(hour):
    told = re.findall(r"^ +(\d+) to +(\d+) s  (\w+)$", "".join(hour[1]), re.MULTILINE)
    assert [int(end) - int(start) for start, end, _ in told] == [PASSAGE_SECONDS] * 5
    table = (hour[0] / "answers" / "day.timeline.csv").read_text("utf-8-sig").splitlines()
    windows = [line.split(",")[:3] for line in table[1:]]
    inside = [
        answer == label
        for start, end, answer in windows
        for begins, ends, label in told
        if int(begins) <= float(start) and float(end) <= int(ends)
    ]
    assert len(inside) >= 20
    assert sum(inside) >= 0.8 * len(inside)


def test_every_picture_was_made_and_is_in_the_page(hour):
    pictures = [part for part in PARTS if part.kind == "picture"]
    assert len(pictures) == 4
    for part in pictures:
        for path in (hour[0] / part.body, first_hour.HERE / part.detail):
            assert path.read_bytes().startswith(b"\x89PNG"), path
    assert (hour[0] / "runs" / "mine" / "report.html").exists()


def test_what_is_not_run_here_is_a_command_too():
    lines = re.findall(r"^    (vidtx|python -m vidtx\.main) (.*?)(?:  +#.*)?$", PAGE, re.MULTILINE)
    assert len(lines) >= 3
    described = next(part.body for part in PARTS if "vidtx describe" in part.body)
    for program, arguments in lines:
        if program == "vidtx":
            assert parse(shlex.split(arguments)).run
        else:  # its config and its options were described above
            options = [word for word in shlex.split(arguments) if word.startswith("--config")]
            assert set(options) <= set(shlex.split(described))


def test_what_it_links_is_there():
    links = re.findall(r"\]\((?!https:)([^)#]+)\)", PAGE)
    assert len(links) > 8
    assert all((first_hour.HERE / link).exists() for link in links), links


@pytest.fixture(scope="module")
def notebook():
    """The notebook of the project, which is one."""
    nbformat = pytest.importorskip("nbformat", reason="pip install 'vidtx[notebook]'")
    found = nbformat.read(first_hour.NOTEBOOK, 4)
    nbformat.validate(found)
    return found


def test_the_notebook_is_the_page(notebook):
    made = first_hour.notebook_of(PAGE)
    parts = [(cell.id, cell.cell_type, cell.source) for cell in notebook.cells]
    assert parts == [(cell.id, cell.cell_type, cell.source) for cell in made.cells]
    blocks = [f"%%bash\n{part.body.rstrip()}" for part in PARTS if part.kind == "bash"]
    assert [source for _, _, source in parts if source.startswith("%%bash")] == blocks
    assert first_hour.NOTEBOOK.stat().st_size < 2_000_000


def test_page_and_notebook_name_no_place_of_the_machine_that_made_them():
    for path in (first_hour.PAGE, first_hour.NOTEBOOK):
        assert not re.search(r"/(tmp|root|work)/", path.read_text()), path


def test_the_notebook_was_run_from_its_first_cell_to_its_last(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    streams = "".join(output.get("text", "") for output in outputs)
    assert streams.count("exit code 5") == 2
    assert re.search(r"\d+ steps in ", streams)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    pytest.importorskip("nbclient", reason="pip install 'vidtx[notebook]'")
    pytest.importorskip("ipykernel", reason="pip install 'vidtx[notebook]'")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    made = first_hour.notebook_of(PAGE)
    first_hour.run_notebook(made, pathlib.Path(tmp_path))
    assert sum("image/png" in str(cell.get("outputs")) for cell in made.cells) == 4
