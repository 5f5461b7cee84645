import json
import os
import socket
import subprocess
import sys

import pytest

from tests.tiny_run import environment
from vidtx.config import resolve, to_dict
from vidtx.main import main

CONFIG = """
from tests.tiny_run import tiny_config

def get_config(scheme=None):
    config = tiny_config({data_dir!r})
    config.model.scheme = scheme or "divided"
    return config
"""


@pytest.fixture
def config(tmp_path, motions_dir):
    """``--config`` of a tiny run."""
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG.format(data_dir=str(motions_dir)))
    return f"--config={path}"


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "runs" / "tiny"


@pytest.fixture
def refused(capsys):
    """Returns f(*arguments, code) -> message of a command line that is refused."""

    def run(*arguments, code=2):
        assert main([str(argument) for argument in arguments]) == code
        output = capsys.readouterr()
        assert output.err.startswith("vidtx: ")
        assert "Traceback" not in output.err
        return output.err.removeprefix("vidtx: ")

    return run


def state_of(folder):
    """Names, contents and times of all files."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in [folder, *folder.rglob("*")]
    }


def test_a_workdir_is_needed(refused, config):
    assert "--workdir is missing" in refused(config)
    assert "--workdir is missing" in refused()


def test_a_config_is_needed_to_train(refused, workdir):
    assert "--config is missing" in refused(f"--workdir={workdir}")
    assert not workdir.exists()


def test_attention_that_these_devices_cannot_compute(refused, config, workdir):
    message = refused(config, f"--workdir={workdir}", "--config.model.attention=cudnn")
    assert "model.attention is 'cudnn'" in message
    assert "Ask for auto or xla" in message
    assert not workdir.exists()


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("reference", ["motion", "nowhere/tiny.py", "experiments"])
def test_a_config_that_is_not_there(refused, workdir, reference, joined):
    flag = [f"--config={reference}"] if joined else ["--config", reference]
    message = refused(*flag, f"--workdir={workdir}")
    assert f"there is no file {reference} and no experiment of that name" in message
    assert "motions" in message
    assert not workdir.exists()


def test_a_file_without_get_config(refused, workdir, tmp_path):
    path = tmp_path / "other.py"
    path.write_text("x = 1\n")
    message = refused(f"--config={path}", f"--workdir={workdir}")
    assert "is no Python file that defines get_config" in message


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--config.train.global_bach=3", "global_bach"),
        ("--config.trian.global_batch=3", "trian"),
        ("--config.zzz=3", "zzz"),
        ("--config.train.global_batch=many", "global_batch"),
        ("--config.train.global_batch=2.5", "global_batch"),
        ("--config.data.flip=perhaps", "flip"),
        ("--config.optimizer.learning_rate=fast", "learning_rate"),
        ("--config.data.image_size=tiny", "image_size"),
        ("--mode=test", "mode"),
        ("--config.train=3", "train"),
        ("--wrkdir=x", "wrkdir"),
    ],
)
def test_an_option_that_is_wrong_is_named(refused, config, workdir, option, named):
    assert named in refused(config, f"--workdir={workdir}", option)
    assert not workdir.exists()


def test_an_argument_for_a_config_that_takes_none(refused, workdir, tmp_path):
    path = tmp_path / "plain.py"
    path.write_text("def get_config():\n    return {}\n")
    refused(f"--config={path}:joint", f"--workdir={workdir}")


def test_a_length_in_epochs_may_take_the_place_of_steps(refused, config, workdir):
    message = refused(
        config, f"--workdir={workdir}", "--config.train.steps=None", "--config.train.epochs=0",
    )  # fmt: skip
    assert "train.epochs is 0.0" in message


def test_an_empty_workdir_is_none(refused, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--workdir is missing" in refused(config, "--workdir=")


def test_what_is_no_option_is_named(refused, config, workdir):
    message = refused(config, f"--workdir={workdir}", "train", "please")
    assert message.startswith("Unexpected argument 'train'")


def test_a_flag_without_its_value(refused, config):
    assert "workdir" in refused(config, "--workdir")


def test_everything_impossible_is_told_at_once(refused, config, workdir):
    message = refused(
        f"{config}:diagonal", f"--workdir={workdir}",
        "--config.data.frames=0", "--config.train.global_batch=0",
    )  # fmt: skip
    for part in ("Unknown attention scheme 'diagonal'", "frames is 0", "train.global_batch is 0"):
        assert part in message
    assert not workdir.exists()


def test_everything_unknown_or_absent_is_told_at_once(refused, workdir, tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(
        "from tests.tiny_run import tiny_config\n\n"
        "def get_config():\n"
        "    config = tiny_config('data')\n"
        "    config.train.unheard_of = 1\n"
        "    del config.mesh\n"
        "    return config\n"
    )
    message = refused(f"--config={path}", f"--workdir={workdir}")
    assert "Unknown key train.unheard_of" in message
    assert "mesh is absent" in message


def test_a_data_set_that_is_not_there(refused, config, workdir, tmp_path):
    (tmp_path / "videos" / "ucf").mkdir(parents=True)
    message = refused(
        config, f"--workdir={workdir}", "--config.data.name=kinetics400",
        f"--config.data.data_dir={tmp_path / 'videos'}",
    )  # fmt: skip
    assert "kinetics400" in message
    assert "it holds ['ucf']" in message
    assert not workdir.exists()


def test_a_split_that_is_not_there(refused, config, workdir):
    message = refused(config, f"--workdir={workdir}", "--config.data.eval_split=validation")
    assert "'validation'" in message
    assert "'test', 'train'" in message


def test_another_run_s_directory_is_left_as_it_is(refused, config, workdir, tiny_config):
    workdir.mkdir(parents=True)
    (workdir / "config.json").write_text(json.dumps(to_dict(resolve(tiny_config(seed=7)))))
    (workdir / "metrics.jsonl").write_text('{"step": 1}\n')
    before = state_of(workdir)
    message = refused(config, f"--workdir={workdir}", "--config.train.global_batch=16")
    assert "holds a run of another config" in message
    assert "  - seed: 7 then, 0 now\n" in message
    assert "  - train.global_batch: 8 then, 16 now\n" in message
    assert state_of(workdir) == before


def test_foreign_files_are_left_as_they_are(refused, config, workdir):
    workdir.mkdir(parents=True)
    (workdir / "thesis.tex").write_text("precious")
    before = state_of(workdir)
    assert "holds files but no run" in refused(config, f"--workdir={workdir}")
    assert state_of(workdir) == before


def test_a_workdir_that_is_a_file(refused, config, tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    assert "is a file" in refused(config, f"--workdir={path}")
    assert path.read_text() == "precious"


def test_a_damaged_config_of_a_run(refused, config, workdir):
    workdir.mkdir(parents=True)
    (workdir / "config.json").write_text('{"name": ')
    assert "config.json is damaged" in refused(config, f"--workdir={workdir}")
    assert "config.json is damaged" in refused("--mode=eval", f"--workdir={workdir}")


def test_there_must_be_a_run_to_judge(refused, workdir):
    message = refused("--mode=eval", f"--workdir={workdir}")
    assert "holds no run: config.json is missing" in message
    workdir.mkdir(parents=True)
    assert "holds no run" in refused("--mode=eval", f"--workdir={workdir}")
    assert not list(workdir.iterdir())


@pytest.mark.parametrize("folder", [None, "checkpoints"])
def test_a_run_without_checkpoints_cannot_be_judged(refused, workdir, tiny_config, folder):
    workdir.mkdir(parents=True)
    (workdir / "config.json").write_text(json.dumps(to_dict(resolve(tiny_config()))))
    if folder:
        (workdir / folder).mkdir()
    message = refused("--mode=eval", f"--workdir={workdir}", code=6)
    assert "Train first, with --mode=train" in message


def test_a_run_s_config_that_was_edited_is_checked_like_any_other(refused, workdir, tiny_config):
    workdir.mkdir(parents=True)
    tree = to_dict(resolve(tiny_config()))
    tree["data"]["frames"] = 0
    (workdir / "config.json").write_text(json.dumps(tree))
    assert "frames is 0" in refused("--mode=eval", f"--workdir={workdir}")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--coordinator=a:1", "--num_processes and --process_id is missing"),
        ("--num_processes=2 --process_id=0", "--coordinator is missing"),
        ("--distributed --process_id=0", "--coordinator and --num_processes is missing"),
        ("--coordinator=a --num_processes=2 --process_id=0", "write it as HOST:PORT"),
        ("--coordinator=:1 --num_processes=2 --process_id=0", "write it as HOST:PORT"),
        ("--coordinator=a:99999 --num_processes=2 --process_id=0", "write it as HOST:PORT"),
        ("--coordinator=a:1 --num_processes=2 --process_id=2", "must be less than"),
        ("--coordinator=a:1 --num_processes=0 --process_id=0", "num_processes"),
        ("--coordinator=a:1 --num_processes=2 --process_id=-1", "process_id"),
        ("--join_timeout=0", "join_timeout"),
    ],
)
def test_a_job_is_described_whole_or_not_at_all(refused, config, workdir, flags, message):
    assert message in refused(config, f"--workdir={workdir}", *flags.split())
    assert not workdir.exists()


def test_a_coordinator_s_port_that_is_taken(refused, config, workdir):
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        message = refused(
            config, f"--workdir={workdir}",
            f"--coordinator=localhost:{port}", "--num_processes=1", "--process_id=0", code=7,
        )  # fmt: skip
    assert f"Port {port} of --coordinator=localhost:{port} cannot be used here" in message


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_given(capsys, flag):
    assert main([flag]) == 0
    text = capsys.readouterr().out
    for word in ("--config=", "--workdir=", "--mode=eval", "The run directory.", "--distributed"):
        assert word in text


def test_the_module_is_a_program(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "vidtx.main", *arguments],
            env=environment(), cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip

    refused = run("--config=motions", f"--workdir={tmp_path / 'run'}", "--config.mesh.data=3")
    assert refused.returncode == 2
    assert "there are 1" in refused.stderr
    assert "Traceback" not in refused.stderr
    helped = run("--help")
    assert helped.returncode == 0
    assert "--workdir" in helped.stdout
    assert os.listdir(tmp_path) == []
