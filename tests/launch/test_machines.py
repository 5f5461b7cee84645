"""TPU machines are made, used, replaced and deleted by the commands that the dry run prints."""

import os

import pytest

from tests.launch.lines import QUEUED, TPU_VM

SET_UP = ["install", "start", "follow"]


def test_a_run_from_nothing_to_its_end(fakes, command):
    told = command(*TPU_VM, "--delete", "--config.train.global_batch=8", "--", "--mode=eval")
    assert fakes.changes == ["create", *SET_UP, "delete"]
    assert "exit code 0" in told.err
    assert told.out.count("started") == 1
    log = (fakes.base / "one" / "vidtx.log").read_text()
    assert log == (
        "trained with: -u -m vidtx.main --config=k400_divided --workdir=gs://bucket/runs/k400 "
        "--config.data.data_dir=gs://bucket/data --config.train.global_batch=8 --mode=eval\n"
    )
    assert log in told.out


def test_the_unit_outlives_the_session_and_is_told_to_save(fakes, command):
    command(*TPU_VM)
    given = (fakes.base / "one" / "systemd-run").read_text().splitlines()
    home = fakes.base / "one"
    assert given[:3] == ["--quiet", "--unit=vidtx", "--remain-after-exit"]
    assert {"--property=KillMode=mixed", "--property=TimeoutStopSec=300"} <= set(given)
    assert f"--property=StandardOutput=append:{home}/vidtx.log" in given
    (copied,) = [word for word in given if word.startswith("--property=ExecStopPost=")]
    assert f"storage cp {home}/vidtx.log gs://bucket/runs/k400.logs/" in copied
    installed = (home / "uv-calls").read_text()
    assert "--reinstall-package=vidtx vidtx[tpu,gcs]\n" in installed


def test_several_slices_run_one_job(fakes, command):
    fakes.states("ABSENT", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE")
    told = command(*QUEUED, "--slices=2", "--spot")
    assert fakes.changes == ["create", "install", "install", "start", "start", "follow"]
    for node in ("many-0", "many-1"):
        assert "--distributed" in (fakes.base / node / "vidtx.log").read_text()
    assert "many is WAITING_FOR_RESOURCES; waiting until ACTIVE." in told.err
    assert "many is PROVISIONING" in told.err
    assert "queued-resources delete many" in told.err  # as it is left to the person


def test_the_slice_that_is_taken_away_is_made_again(fakes, command):
    # It is gone as soon as it is asked for again: another process has noticed, and so code 7.
    fakes.states("ABSENT", "ACTIVE", "SUSPENDING", "SUSPENDED", "ABSENT", "PROVISIONING", "ACTIVE")
    fakes.ends_with(7, 0)
    told = command(*QUEUED)
    assert fakes.changes == ["create", *SET_UP, "delete", "create", *SET_UP]
    assert "many is SUSPENDED, and the run is not done." in told.err
    assert (fakes.base / "many" / "vidtx.log").read_text().count("trained with") == 2


def test_a_queue_that_fails_is_joined_again(fakes, command):
    fakes.states("ABSENT", "PROVISIONING", "FAILED", "ABSENT", "ACTIVE")
    command(*QUEUED)
    assert fakes.changes == ["create", "delete", "create", *SET_UP]


def test_a_run_that_is_stopped_or_killed_goes_on_where_it_is(fakes, command):
    fakes.ends_with(4, 137, 0)
    command(*TPU_VM)
    assert fakes.changes == ["create", *SET_UP, "stop", *SET_UP, "stop", *SET_UP]


@pytest.mark.parametrize("code", [1, 2, 7])
def test_a_run_that_would_only_fail_again_is_left_at_that(fakes, command, code):
    fakes.ends_with(code)
    told = command(*TPU_VM, code=code)
    assert fakes.changes == ["create", *SET_UP]
    assert f"The run has ended with exit code {code}." in told.err


def test_ctrl_c_leaves_the_run_alone(fakes, command):
    fakes.install(fakes.base / "host" / "tail", f"kill -INT {os.getpid()}; sleep 5")
    told = command(*TPU_VM, "--delete", code=4)
    assert fakes.changes == ["create", *SET_UP]
    assert "a run that is started goes on. --dry_run prints how to follow it again" in told.err


def test_restarts_are_bounded(fakes, command):
    fakes.ends_with(4)
    told = command(*TPU_VM, "--restarts=2", code=4)
    assert fakes.changes == ["create", *SET_UP, "stop", *SET_UP, "stop", *SET_UP]
    assert "2 times (--restarts). The same command goes on" in told.err


def test_a_machine_that_is_gone_before_it_is_left_alone_is_no_success(fakes, command):
    fakes.states("ABSENT", "CREATING", "PREEMPTED")
    told = command(*TPU_VM, "--detach", "--delete", "--restarts=0", code=4)
    assert fakes.changes == ["create"]
    assert "gcloud compute tpus tpu-vm delete one" in told.err


def test_what_is_there_is_used(fakes, command):
    fakes.states("READY")
    command(*TPU_VM, "--detach")
    assert fakes.changes == ["install", "start"]
    log = fakes.base / "one" / "vidtx.log"
    before = log.read_text()
    (fakes.base / "one" / "running").touch()
    told = command(*TPU_VM, "--detach")
    assert told.out.count("the run is under way") == 2  # nothing is installed under it either
    assert log.read_text() == before


def test_a_connection_that_is_cut_is_made_again(fakes, command):
    fakes.states("READY")
    fakes.failing(follow=("tail ", 1), status=("LoadState", 1))
    command(*TPU_VM)
    assert fakes.changes == [*SET_UP, "follow"]


def test_a_machine_that_was_started_again_starts_the_run_again(fakes, command):
    fakes.states("READY")
    fakes.forgets_units(1)
    command(*TPU_VM)
    assert fakes.changes == [*SET_UP, "stop", *SET_UP]


def test_a_machine_out_of_reach_is_told(fakes, command):
    fakes.states("READY")
    fakes.failing(follow=("tail ", 99), status=("LoadState", 99))
    told = command(*TPU_VM, code=7)
    assert "one: it cannot be reached by ssh, 5 times in a row." in told.err
    assert "a run that is under way goes on meanwhile" in told.err


def test_a_machine_that_goes_while_it_is_set_up_is_replaced(fakes, command):
    fakes.states("ABSENT", "READY", "PREEMPTED", "ABSENT", "READY")
    fakes.failing(install=("uv/bin/uv", 1))
    command(*TPU_VM)
    assert fakes.changes == ["create", "install", "delete", "create", *SET_UP]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("buckets describe", "gcloud storage buckets create gs://bucket --location=us-west4."),
        ("tpu-vm create", "Where there is no capacity, try another zone, --spot, or vidtx launch"),
        ("uv/bin/uv", "gcloud compute tpus tpu-vm ssh … ended with exit code 1"),
        ("systemd-run", "gcloud compute tpus tpu-vm ssh … ended with exit code 1"),
    ],
)
def test_a_command_that_fails_ends_it(fakes, command, pattern, message):
    fakes.failing(it=(pattern, 1))
    told = command(*TPU_VM, code=7)
    assert message in told.err
    assert "follow" not in fakes.changes
    kept = "What has been created is kept, and costs money until\ngcloud compute tpus tpu-vm delete"
    assert (kept in told.err) == ("create" in fakes.changes)


def test_a_bucket_elsewhere_is_told(fakes, command):
    told = command(*TPU_VM, "--zone=europe-west4-b", "--detach")
    assert "gs://bucket lies in US-WEST4, not in europe-west4" in told.err
    assert "lies in" not in command(*TPU_VM, "--detach").err


def test_a_missing_program_is_told_before_anything_is_run(fakes, command):
    (fakes.base / "bin" / "gcloud").unlink()
    told = command(*TPU_VM, code=7)
    assert told.err == (
        "vidtx: gcloud is not installed here. Install the Google Cloud CLI: "
        "https://cloud.google.com/sdk/docs/install\n"
    )


def test_sources_and_a_config_of_ones_own_go_to_every_host(fakes, command, tmp_path):
    (tmp_path / "vidtx" / "vidtx").mkdir(parents=True)
    (tmp_path / "vidtx" / "vidtx" / "_version.py").write_text('"""."""\n\n__version__ = "9.8.7"\n')
    config = tmp_path / "mine.py"
    config.write_text(
        "from experiments.motions import get_config  # noqa\n\ndef get_config(a=None):"
        "\n    from experiments.motions import get_config\n    return get_config()\n"
    )
    line = [f"--package={tmp_path / 'vidtx'}", f"--config={config}:x"]
    command(*TPU_VM, *line)
    (copied,) = [words for words in fakes.calls if "scp" in words]
    assert copied[5:8] == ["dist/vidtx-9.8.7-py3-none-any.whl", str(config), "one:"]
    assert (
        "./vidtx-9.8.7-py3-none-any.whl[tpu,gcs]" in (fakes.base / "one" / "uv-calls").read_text()
    )
    assert "--config=mine.py:x " in (fakes.base / "one" / "vidtx.log").read_text()
    assert fakes.calls[1][:4] == ["python", "-m", "pip", "wheel"]


def test_a_dollar_reaches_the_run(fakes, command):
    command(*TPU_VM, "--config.optimizer.freeze=('head/.*$HOME',)")
    given = (fakes.base / "one" / "systemd-run").read_text()
    # systemd makes one of two.
    assert "--config.optimizer.freeze=('head/.*$$HOME',)\n" in given
