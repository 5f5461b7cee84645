"""A dry run prints what would be run, as a script that bash runs and nothing else has touched."""

import shutil
import subprocess

import pytest

from tests.launch.lines import GKE, QUEUED, SLURM, TPU_VM, WAYS

WHERE = "--zone=us-west4-a --quiet"
SCOPES = "--scopes=https://www.googleapis.com/auth/cloud-platform"


def one_line(text):
    """A script with its broken lines put together, and without its comment signs."""
    text = text.replace("\n# ", "\n").replace("\\\n", "")
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


@pytest.mark.parametrize("line", WAYS.values(), ids=WAYS)
def test_nothing_is_run(fakes, command, line):
    told = command(*line, "--dry_run")
    assert told.out.startswith("#!/usr/bin/env bash\n")
    assert told.err == ""
    assert fakes.calls == []


@pytest.mark.parametrize("line", WAYS.values(), ids=WAYS)
def test_it_is_sound_shell(fakes, command, line, monkeypatch):
    text = command(
        *line, "--dry_run", "--config.optimizer.freeze=('head/.*|it''s a $HOME; # \"name\"',)"
    ).out
    monkeypatch.undo()  # the real programs again
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    if shutil.which("shellcheck"):
        checked = subprocess.run(["shellcheck", "-"], input=text, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout


def test_a_single_machine(fakes, command):
    text = one_line(command(*TPU_VM, "--dry_run", "--spot", "--project=mine").out)
    where = "--project=mine --zone=us-west4-a --quiet"
    for line in (
        "gcloud storage buckets describe gs://bucket '--format=value(location)'",
        f"gcloud compute tpus tpu-vm create one {where} --version=v2-alpha-tpuv5-lite "
        f"--accelerator-type=v5litepod-8 --spot {SCOPES}",
        f"gcloud compute tpus tpu-vm ssh one {where} --worker=0 '--command=sudo systemctl stop "
        "vidtx'",
        f"gcloud compute tpus tpu-vm delete one {where}",
    ):
        assert f"\n{line}\n" in text
    assert text.endswith("\nvidtx compile --config=k400_divided --topology=v5e:2x4")


def test_a_queued_slice(fakes, command):
    more = ["--reserved", "--valid_for=12h", "--service_account=a@b", "--runtime_version=other",
            "--create_option=--network=mine"]  # fmt: skip
    text = one_line(command(*QUEUED, "--dry_run", *more).out)
    assert (
        f"\ngcloud compute tpus queued-resources create many {WHERE} --node-id=many "
        f"--runtime-version=other --accelerator-type=v5litepod-16 {SCOPES} --service-account=a@b "
        "--reserved --valid-until-duration=12h --network=mine\n"
    ) in text
    assert f"\ngcloud compute tpus queued-resources delete many {WHERE} --force\n" in text
    assert '"$HOME/vidtx-env/bin/python" -u -m vidtx.main --distributed --config=' in text


def test_several_slices(fakes, command):
    text = one_line(command(*QUEUED, "--dry_run", "--slices=2", "--spot").out)
    assert f"create many {WHERE} --node-count=2 --node-prefix=many " in text
    assert "2 slices of v5litepod-16: 16 chips (v5e:4x4), 4 hosts of 4 chips; 32 chips, 8 h" in text
    assert text.endswith("\nvidtx compile --config=k400_divided --topology=v5e:4x4 --slices=2")


def test_a_workload_of_a_cluster(fakes, command, tmp_path):
    (tmp_path / "Dockerfile").touch()
    built = [f"--sources={tmp_path}", "--create_cluster", "--spot"]
    text = one_line(command(*GKE, "--dry_run", *built, "--restarts=3").out)
    image = "us-west4-docker.pkg.dev/p/r/vidtx:1"
    for line in (
        "docker build --platform=linux/amd64 --build-arg=EXTRA=tpu --build-arg=RUN_AS=root "
        f"--tag={image} {tmp_path}",
        "gcloud auth configure-docker us-west4-docker.pkg.dev --quiet",
        f"docker push {image}",
        "xpk cluster create --cluster=pool --zone=us-west4-a --tpu-type=v6e-16 --num-slices=1 "
        "--spot",
        "xpk workload create --workload=work --cluster=pool --zone=us-west4-a --tpu-type=v6e-16 "
        f"--num-slices=1 --docker-image={image} --priority=medium --max-restarts=3 "
        "--restart-on-exit-codes=4 --termination-grace-period-seconds=300 "
        "'--command=exec python -m vidtx.main --distributed --config=k400_divided "
        "--workdir=gs://bucket/runs/k400 --config.data.data_dir=gs://bucket/data'",
        "xpk workload list --cluster=pool --zone=us-west4-a --wait-for-job-completion=work",
        "xpk workload delete --workload=work --force --cluster=pool --zone=us-west4-a",
    ):
        assert f"\n{line}\n" in text
    assert text.endswith("\nvidtx compile --config=k400_divided --topology=v6e:4x4")


def test_a_batch_job(fakes, command):
    text = command(*SLURM, "--dry_run", "--time=1-0", "--cpus_per_node=32", "--account=us").out
    options = [line.split()[1] for line in text.splitlines() if line.startswith("#SBATCH")]
    assert options == [
        "--job-name=job", "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=4",
        "--cpus-per-task=32", "--time=1-0", "--account=us", "--signal=TERM@120", "--requeue",
        "--open-mode=append", "--output=%x-%j.log",
    ]  # fmt: skip
    assert "\nexport JAX_LOCAL_DEVICE_IDS=0,1,2,3\n" in text


@pytest.mark.parametrize("way", ["tpu-vm", "queued", "gke", "slurm"])
def test_the_script_does_what_the_command_does(fakes, command, way):
    line, ready = WAYS[way], {"tpu-vm": "READY"}.get(way, "ACTIVE")
    fakes.states("ABSENT", "CREATING", ready)
    text = command(*line, "--dry_run", *(["--delete"] if way in ("tpu-vm", "queued") else [])).out
    ran = fakes.run_script(text)
    assert ran.returncode == 0, ran.stderr
    by_hand = fakes.forget()
    fakes.states("ABSENT", "CREATING", ready)
    command(*line, *(["--delete"] if way in ("tpu-vm", "queued") else []))

    def without_questions(calls):
        # Nor what the hosts do, who name the log by the time.
        return [call for call in calls if "describe" not in call and "cp" not in call]

    assert without_questions(fakes.calls) == without_questions(by_hand)
    assert len(without_questions(by_hand)) >= 1


def test_the_script_ends_where_the_queue_fails(fakes, command):
    fakes.states("ABSENT", "PROVISIONING", "FAILED")
    ran = fakes.run_script(command(*QUEUED, "--dry_run").out)
    assert ran.returncode == 7
    assert "state: Quota exceeded" in ran.stdout
