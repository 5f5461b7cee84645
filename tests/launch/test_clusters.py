"""Workloads and batch jobs: what is run, and what comes of it when it fails."""

import os
import subprocess

import pytest

from tests.launch.lines import GKE, SLURM


def test_a_workload_is_created_and_waited_for(fakes, command):
    command(*GKE)
    assert [call[:3] for call in fakes.calls] == [
        ["gcloud", "storage", "buckets"],
        ["xpk", "workload", "create"],
        ["xpk", "workload", "list"],
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("workload create", "If a workload of that name is there, delete it first"),
        ("workload list", "The pods' log has its reason and its exit code: kubectl logs"),
        ("buckets", "gcloud storage buckets create gs://bucket --location=us-west4."),
    ],
)
def test_a_step_that_fails_is_the_last(fakes, command, pattern, message):
    fakes.failing(it=(pattern, 1))
    told = command(*GKE, code=7)
    assert message in told.err
    assert pattern in " ".join(fakes.calls[-1])


def test_missing_programs_are_told_all_at_once(fakes, command):
    for name in ("xpk", "gcloud"):
        (fakes.base / "bin" / name).unlink()
    told = command(*GKE, code=7)
    assert "gcloud is not installed here." in told.err
    assert "xpk is not installed here. pip install xpk" in told.err
    assert fakes.calls == []


def test_a_batch_job_is_submitted(fakes, command):
    told = command(*SLURM)
    assert told.out == "1234\n"
    assert fakes.calls == [["sbatch", "--parsable"]]
    assert (fakes.base / "sbatch.sh").read_text() in command(*SLURM, "--dry_run").out


def test_without_slurm_it_is_told(fakes, command):
    (fakes.base / "bin" / "sbatch").unlink()
    assert "Run this on a login node of the cluster" in command(*SLURM, code=7).err


# Notes what it is given; with END, ends the batch script as scancel does: it signals all.
SRUN = """
printf '%s\\n' "$JAX_LOCAL_DEVICE_IDS" "$@" > srun-called
if [ -n "${END:-}" ]; then kill -TERM "$PPID"; fi
exit "$CODE"
"""


def batch(fakes, **environment):
    """Runs the batch script that was submitted; its exit code, and whether it was requeued."""
    for name, text in {"srun": SRUN, "scontrol": 'echo "$*" > requeued'}.items():
        fakes.install(fakes.base / "bin" / name, text)
    done = subprocess.run(
        ["bash", fakes.base / "sbatch.sh"],
        env=os.environ | {"SLURM_JOB_ID": "1234"} | environment,
        capture_output=True,
        text=True,
    )
    requeued = fakes.base.parent / "here" / "requeued"
    return done, requeued.read_text() if requeued.exists() else None


@pytest.mark.parametrize("code", ["0", "2", "7", "134"])
def test_what_would_happen_again_is_not_requeued(fakes, command, code):
    command(*SLURM)
    done, requeued = batch(fakes, CODE=code)
    assert done.returncode == int(code)
    assert requeued is None


def test_a_job_at_its_limit_is_requeued(fakes, command):
    command(*SLURM, "--cpus_per_node=8", "--python=env/bin/python", "--setup=export CODE=4")
    done, requeued = batch(fakes)
    assert done.returncode == 4
    assert requeued == "requeue 1234\n"
    given = (fakes.base.parent / "here" / "srun-called").read_text().splitlines()
    assert given[:4] == ["0,1,2,3", "--ntasks-per-node=1", "--cpus-per-task=8",
                         "--kill-on-bad-exit=0"]  # fmt: skip
    assert given[4:9] == ["env/bin/python", "-u", "-m", "vidtx.main", "--distributed"]


def test_a_job_that_is_cancelled_stays_cancelled(fakes, command):
    command(*SLURM)
    done, requeued = batch(fakes, CODE="4", END="1")
    assert (done.returncode, requeued) == (4, None)


def test_a_job_is_requeued_so_often_and_no_more(fakes, command):
    command(*SLURM, "--restarts=2")
    assert batch(fakes, CODE="4", SLURM_RESTART_COUNT="2")[1] is None
    assert batch(fakes, CODE="4", SLURM_RESTART_COUNT="1")[1] == "requeue 1234\n"


def test_one_node_is_no_job_of_several(fakes, command):
    command(*SLURM, "--nodes=1")
    assert "--distributed" not in (fakes.base / "sbatch.sh").read_text()
