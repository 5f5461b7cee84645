"""The comparison's command line; its runs are scripts that end as they are told."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.tiny_run import environment
from vidtx.compare import main

CONFIG = """
from tests.tiny_run import tiny_config

{listed}

def get_config(scheme=None):
    config = tiny_config("data")
    config.model.scheme = scheme or "divided"
    return config
"""


@pytest.fixture
def config(tmp_path):
    """Returns f(listed) -> ``--config`` of a tiny run with this line in it."""

    def write(listed='ARGUMENTS = ("space", "joint")'):
        path = tmp_path / "tiny.py"
        path.write_text(CONFIG.format(listed=listed))
        return f"--config={path}"

    return write


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "runs" / "compared"


@pytest.fixture
def refused(capsys):
    """Returns f(*arguments) -> message of a command line that is refused."""

    def run(*arguments, code=2):
        assert main([str(argument) for argument in arguments]) == code
        error = capsys.readouterr().err
        assert error.startswith("vidtx: ")
        return error.removeprefix("vidtx: ")

    return run


@pytest.fixture
def run_is(tmp_path, monkeypatch):
    """Returns f(script): from now on each run is this shell script, with ``$*`` its command."""

    def replace(script):
        path = tmp_path / "run.sh"
        place = 'for last; do :; done; mkdir -p "${last#--workdir=}"'
        path.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/started\n{place}\n{script}\n')
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return replace


@pytest.fixture
def started(tmp_path):
    """Returns f() -> command lines of the runs that were started, and forgets them."""

    def lines():
        path = tmp_path / "started"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    return lines


def test_config_and_workdir_are_needed(refused, config, workdir):
    assert "--workdir is missing" in refused(config())
    assert "--config is missing" in refused(f"--workdir={workdir}")
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("listed", "arguments", "told"),
    [
        ("", [], ["lists no ARGUMENTS", "--arguments=space,joint"]),
        ("ARGUMENTS = 3 / 0", [], ["ZeroDivisionError"]),
        ("ARGUMENTS = 3", [], ["must be a tuple of strings"]),
        ("ARGUMENTS = 'space'", [], ["must be a tuple of strings"]),
        ("ARGUMENTS = ('space', 4)", [], ["must be a tuple of strings"]),
        ("ARGUMENTS = ()", [], ["nothing to compare"]),
        ("ARGUMENTS = ('space', 'space')", [], ["Given twice", "space"]),
        ("ARGUMENTS = ('space', '../x')", [], ["'../x' cannot name a directory"]),
        ("ARGUMENTS = ('space', 'diagonal')", [], ["diagonal", "Unknown attention scheme"]),
        ("ARGUMENTS = ('space', 'joint')", ["--arguments=axial"], ["'axial'", "space, joint"]),
        ("ARGUMENTS = ('space', 'joint')", ["--arguments=space,space"], ["Given twice"]),
        ("ARGUMENTS = ('space', 'joint')", ["--arguments="], ["nothing to compare"]),
        ("ARGUMENTS = ('space', 'joint')", ["--seeds="], ["whole numbers"]),
        ("ARGUMENTS = ('space', 'joint')", ["--seeds=0,one"], ["whole numbers"]),
        ("ARGUMENTS = ('space', 'joint')", ["--seeds=-1"], ["whole numbers"]),
        ("ARGUMENTS = ('space', 'joint')", ["--seeds=1,1"], ["given twice"]),
        ("ARGUMENTS = ('space', 'joint')", ["--seeds=4294967296"], ["seed is 4294967296"]),
        (
            "ARGUMENTS = ('space', 'joint')",
            ["--seeds=1", "--config.seed=2"],
            ["--seeds and --config.seed are both given"],
        ),
        ("ARGUMENTS = ('space',)", ["--config.train.global_bach=3"], ["global_bach"]),
        ("ARGUMENTS = ('space',)", ["--config.data.frames=0"], ["frames is 0"]),
        ("ARGUMENTS = ('space',)", ["--wrkdir=x"], ["wrkdir"]),
        ("ARGUMENTS = ('space',)", ["please"], ["Unexpected argument 'please'"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    refused, run_is, started, config, workdir, listed, arguments, told
):
    run_is("exit 0")
    message = refused(config(listed), f"--workdir={workdir}", *arguments)
    for part in told:
        assert part in message
    assert not workdir.exists()
    assert not started()


def test_an_argument_behind_the_config_is_refused(refused, config, workdir):
    message = refused(f"{config()}:joint", f"--workdir={workdir}")
    assert "--arguments=joint" in message


def test_a_config_that_is_not_there(refused, workdir):
    assert "there is no file nothing" in refused("--config=nothing", f"--workdir={workdir}")


@pytest.mark.parametrize("held", ["thesis.tex", "config.json"])
def test_other_files_are_left_as_they_are(refused, config, workdir, held):
    workdir.mkdir(parents=True)
    (workdir / held).write_text("precious")
    assert "no comparison" in refused(config(), f"--workdir={workdir}")
    assert os.listdir(workdir) == [held]


def test_a_workdir_that_is_a_file(refused, config, tmp_path):
    (tmp_path / "file").write_text("precious")
    assert "is a file" in refused(config(), f"--workdir={tmp_path / 'file'}")


def test_every_argument_is_trained_from_every_seed(
    refused, run_is, started, config, workdir, tmp_path
):
    run_is("exit 0")
    options = ["--config.train.steps=9", "--config.model.depth=2"]
    assert main([config(), f"--workdir={workdir}", "--seeds=3,1", *options]) == 0
    assert started() == [
        f"-m vidtx.main --config={tmp_path}/tiny.py:{scheme} {' '.join(options)} "
        f"--config.seed={seed} --workdir={workdir}/{scheme}/seed_{seed}"
        for seed in (3, 1)
        for scheme in ("space", "joint")
    ]


def test_a_seed_of_the_config_names_its_directory(run_is, started, config, workdir):
    run_is("exit 0")
    assert main([config(), f"--workdir={workdir}", "--arguments=joint", "--config.seed=5"]) == 0
    (line,) = started()
    assert line.endswith(f":joint --config.seed=5 --workdir={workdir}/joint/seed_5")


def test_without_a_list_any_argument_can_be_named(run_is, started, config, workdir):
    run_is("exit 0")
    assert main([config(""), f"--workdir={workdir}", "--arguments=axial,space"]) == 0
    assert [line.split(":")[1].split()[0] for line in started()] == ["axial", "space"]


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6, 7])
def test_the_exit_code_of_a_run_is_the_comparison_s(
    refused, run_is, started, config, workdir, code
):
    run_is(f"exit {code}")
    message = refused(config(), f"--workdir={workdir}", code=code)
    assert (
        f"space, seed 0 (1 of 2): {workdir / 'space' / 'seed_0'} ended with exit code {code}"
        in (message)
    )
    assert len(started()) == 1


def test_a_row_that_diverges_does_not_keep_the_others_from_running(
    refused, run_is, started, config, workdir
):
    run_is('case "$*" in *:space*) exit 3;; esac')
    message = refused(config(), f"--workdir={workdir}", code=3)
    assert message.startswith("space, seed 0")
    assert "joint" not in message
    assert len(started()) == 2


def test_a_run_that_the_system_kills(refused, run_is, started, config, workdir):
    run_is("kill -9 $$")
    assert "killed by SIGKILL" in refused(config(), f"--workdir={workdir}", code=7)
    assert len(started()) == 1


@pytest.mark.parametrize("signal_name", ["TERM", "INT", "HUP"])
def test_a_signal_is_passed_on_and_nothing_more_is_started(
    refused, run_is, started, config, workdir, tmp_path, signal_name, request
):
    # Under nohup it would be ignored, and stay so.
    number = signal.Signals[f"SIG{signal_name}"]
    handler = signal.signal(number, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(number, handler))
    # The run signals its parent, and ends as a run does when the signal has come back to it.
    passed = "TERM" if signal_name == "HUP" else signal_name
    run_is(
        f'trap "echo got >> {tmp_path}/got; exit 4" {passed}\n'
        f"kill -{signal_name} $PPID\nwhile :; do sleep 0.05; done"
    )
    message = refused(config(), f"--workdir={workdir}", code=4)
    assert message == f"Stopped by SIG{signal_name}. The same command goes on from there.\n"
    assert (tmp_path / "got").read_text() == "got\n"
    assert len(started()) == 1


def test_a_signal_that_comes_too_late_for_its_run_stops_before_the_next(
    refused, run_is, started, config, workdir
):
    run_is('trap "" TERM; kill -TERM $PPID; exit 0')
    assert "Stopped by SIGTERM" in refused(config(), f"--workdir={workdir}", code=4)
    assert len(started()) == 1


def test_a_run_left_behind_keeps_its_place(refused, run_is, config, workdir):
    run_is('(sleep 60 & echo $! > "${0%/*}/left")')
    assert main([config(), f"--workdir={workdir}", "--arguments=space"]) == 0
    left = int((workdir.parents[1] / "left").read_text())
    try:
        assert "Another comparison is at work" in refused(config(), f"--workdir={workdir}")
    finally:
        os.kill(left, 9)


def test_the_table_is_there_before_the_first_run(run_is, refused, config, workdir):
    run_is("exit 2")
    refused(config(), f"--workdir={workdir}")
    written = json.loads((workdir / "table.json").read_text())
    assert [(row["name"], row["runs"]) for row in written["rows"]] == [("space", []), ("joint", [])]
    assert written["column"] == "attention scheme"
    assert (workdir / "curves.png").exists()
    assert "| joint" in (workdir / "table.md").read_text()


def test_the_module_is_a_program(tmp_path):
    command = [sys.executable, "-m", "vidtx.compare"]
    options = {"env": environment(), "cwd": tmp_path, "capture_output": True, "text": True}
    helped = subprocess.run([*command, "--help"], **options)
    assert helped.returncode == 0
    for word in ("--seeds", "--arguments", "python -m vidtx.compare"):
        assert word in helped.stdout
    refused = subprocess.run([*command, "--config=motions", "--workdir=x"], **options)
    assert refused.returncode == 2
    assert "lists no ARGUMENTS" in refused.stderr
    assert os.listdir(tmp_path) == []
