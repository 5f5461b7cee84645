"""TPU machines are made, used, replaced and deleted by the commands that the dry run prints."""

import os

import pytest

from tests.launch.lines import QUEUED, TPU_VM

SET_UP = ["install", "start", "follow"]


def test_a_run_from_nothing_to_its_end(fakes, command):
    told = command(*TPU_VM, "--delete", "--config.train.global_batch=8", "--", "--mode=eval")
    assert fakes.changes == ["create", *SET_UP, "stop", "delete"]
    assert "exit code 0" in told.err
    assert told.out.count("started") == 1
    log = (fakes.base / "one" / "vidtx.log").read_text()
    assert log == (
        "trained with: -u -m vidtx.main --config=k400_divided --workdir=gs://bucket/runs/k400 "
        "--config.data.data_dir=gs://bucket/data --config.train.global_batch=8 --mode=eval\n"
    )
    assert log in told.out


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


@pytest.mark.parametrize("more", [[], ["--delete"]])
def test_a_queue_that_fails_at_first_is_not_joined_again(fakes, command, more):
    fakes.states("ABSENT", "PROVISIONING", "FAILED", "ABSENT", "ACTIVE")
    told = command(*QUEUED, *more, code=7)
    assert fakes.changes == ["create", *(["delete"] if more else [])]
    assert "many is FAILED: the queue has ended without a machine" in told.err
    assert "Quota exceeded" in told.err


def test_a_failure_from_before_is_shown_and_replaced(fakes, command):
    fakes.states("FAILED", "ABSENT", "ACTIVE")
    told = command(*QUEUED)
    assert fakes.changes == ["delete", "create", *SET_UP]
    assert "many is FAILED, from before:\nstate: Quota exceeded" in told.err


@pytest.mark.parametrize("more", [[], ["--valid_for=12h"]])
def test_a_queue_that_fails_later_is_joined_again_unless_it_is_bounded(fakes, command, more):
    fakes.states("ABSENT", "ACTIVE", "SUSPENDED", "ABSENT", "FAILED", "ABSENT", "ACTIVE")
    fakes.ends_with(7, 0)
    told = command(*QUEUED, *more, code=7 if more else 0)
    once = ["create", *SET_UP, "delete", "create"]
    assert fakes.changes == (once if more else [*once, "delete", "create", *SET_UP])
    assert ("as --valid_for has run out" in told.err) == bool(more)


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


@pytest.mark.parametrize("when", ["waiting", "following"])
def test_no_answer_is_no_machine_that_is_gone(fakes, command, when):
    if when == "waiting":
        fakes.failing(it=("tpu-vm describe", 3))
        fakes.states("READY")
        command(*TPU_VM)
        assert fakes.changes == SET_UP
        return
    fakes.states("READY")
    # Of the questions, the first after the connection was cut.
    cut = f"printf '1\\ntpu-vm describe\\n' > {fakes.base}/failures/state"
    fakes.install(fakes.base / "host" / "tail", f"[ -e cut ] || {cut}; touch cut")
    fakes.failing(status=("LoadState", 1))
    command(*TPU_VM)
    assert fakes.changes == [*SET_UP, "follow"]


def test_nothing_is_made_where_nothing_is_known(fakes, command):
    fakes.failing(it=("tpu-vm describe", 99))
    told = command(*TPU_VM, code=7)
    assert "gcloud does not tell what state it is in, 5 times in a row" in told.err
    assert fakes.changes == []


def test_a_machine_that_cannot_be_had_again_at_once_is_asked_for_again(fakes, command):
    fakes.states("ABSENT", "READY", "PREEMPTED", "ABSENT", "READY")
    fakes.ends_with(7, 0)
    refuse = f"printf '2\\ntpu-vm create\\n' > {fakes.base}/failures/create"
    fakes.install(fakes.base / "host" / "tail", f"[ -e ../cut ] || {refuse}; touch ../cut")
    told = command(*TPU_VM, "--spot")
    refused = ["create", *SET_UP, "delete", "create", "create"]
    assert fakes.changes == [*refused, "create", *SET_UP]
    assert "try another zone, or vidtx launch queued." in told.err
    assert "--spot, or" not in told.err
    assert "What has been created" not in told.err


def test_a_host_that_refuses_at_first_is_asked_again(fakes, command):
    fakes.failing(install=("uv/bin/uv", 2))
    told = command(*TPU_VM)
    assert fakes.changes == ["create", "install", "install", *SET_UP]
    assert "A new host may refuse ssh for a while: it is tried again." in told.err


def test_a_machine_that_cannot_be_set_up_is_deleted_if_that_is_asked_for(fakes, command):
    fakes.failing(install=("uv/bin/uv", 99))
    told = command(*TPU_VM, "--delete", code=7)
    assert fakes.changes == ["create", *["install"] * 4, "delete"]
    assert "It was tried 4 times.\none is deleted (--delete)." in told.err
    # One that was there may have a run on it, which nobody has asked to end.
    fakes.forget()
    fakes.states("READY")
    command(*TPU_VM, "--delete", code=7)
    assert "delete" not in fakes.changes


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
    fakes.failing(it=(pattern, 99))
    told = command(*TPU_VM, code=7)
    assert message in told.err
    assert "follow" not in fakes.changes
    kept = "What has been created is kept, and costs money until\ngcloud compute tpus tpu-vm delete"
    assert (kept in told.err) == ("install" in fakes.changes)


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
