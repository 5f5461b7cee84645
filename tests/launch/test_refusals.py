"""What is wrong with a command line is told before anything is run, all of it at once."""

import pytest

from tests.launch.lines import GKE, QUEUED, SLURM, TPU_VM


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ([*TPU_VM, "--accelerator=v5e-8"], ["'v5e-8' is no type", "of v5e is v5litepod-8."]),
        ([*TPU_VM, "--accelerator=v5p-100"], ["the nearest are v5p-32, v5p-64, v5p-128."]),
        ([*TPU_VM, "--accelerator=v4-32"], ["v4-32 has 4 hosts", "vidtx launch queued"]),
        ([*TPU_VM, "--accelerator=tpu7x-8"], ["give --runtime_version, or use vidtx launch gke"]),
        ([*TPU_VM, "--name=One"], ["--name=One: up to 40 small letters"]),
        ([*TPU_VM, "--zone=us-west4"], ["--zone=us-west4: zones are written as us-west4-a is."]),
        ([*TPU_VM, "--package=numpy"], ["--package=numpy: give a version of vidtx"]),
        ([*TPU_VM, "--package=vidtx-1-py3-none-any.whl"], ["there is no such file"]),
        ([*TPU_VM, "--package=./"], ["--package=./: the folder holds no vidtx/_version.py."]),
        (
            [word for word in TPU_VM if "--package" not in word],
            ["--package=.: the folder holds no vidtx/_version.py. Give the folder of the sources"],
        ),
        ([*TPU_VM, "--config.train.global_batch=12"], ["train.global_batch is 12", "the 8 parts"]),
        (
            [*QUEUED, "--slices=2", "--config.mesh.data=16"],
            ["The config has a problem", "mesh", "32"],
        ),
        (
            [*GKE, "--accelerator=tpu7x-16", "--config.train.global_batch=8"],
            ["train.global_batch is 8", "the 16 parts"],
        ),
        ([*SLURM, "--config.train.global_batch=12"], ["train.global_batch is 12", "the 8 parts"]),
        ([*TPU_VM, "--config.data.data_dir=data"], ["data.data_dir is 'data', and the machines"]),
        ([*GKE[:-1]], ["give --data_dir=gs://BUCKET/data, with the data set in it."]),
        ([*GKE, "--image="], ["--image=: name an image, such as us-west4-docker.pkg.dev/"]),
        ([*GKE, "--image=a b"], ["--image=a b: name an image"]),
        ([*TPU_VM, "--workdir=runs/x"], ["Write it as gs://BUCKET/runs/x."]),
        ([*TPU_VM, "--workdir=gs://bucket"], ["name a folder in the bucket"]),
        ([*TPU_VM, "--config=no_such"], ["no experiment of that name"]),
        ([*TPU_VM, "--config.model.nam=x"], ["config.model has no key 'nam'; did you mean name?"]),
        ([*TPU_VM, "--config.train.steps=5"], ["The config has a problem", "train.epochs"]),
        ([*TPU_VM, "--create_option=spot"], ["--create_option=spot: write it as"]),
        ([*TPU_VM, "--", "--distributed"], ["gives --distributed itself"]),
        ([*TPU_VM, "--", "--nodistributed"], ["gives --distributed itself"]),
        ([*TPU_VM, "--", "--workdir=x"], ["gives --workdir itself"]),
        ([*TPU_VM, "--", "eval"], ["'eval': flags of vidtx.main"]),
        ([*TPU_VM, "--", "--mode=a\nb"], ["a line break cannot be passed on"]),
        ([*QUEUED, "--spot", "--reserved"], ["--spot and --reserved exclude each other"]),
        ([*QUEUED, "--valid_for=tomorrow"], ["such as 30m, 12h or 2d"]),
        ([*GKE, "--priority=urgent"], ["one of very-low, low, medium, high, very-high"]),
        ([*GKE, "--spot"], ["--spot is of the machines of a new cluster: add --create_cluster."]),
        ([*GKE, "--spot", "--reservation=r", "--create_cluster"], ["exclude each other"]),
        ([*GKE, "--accelerator=v5litepod-4"], ["xpk knows v5litepod from 8 chips on"]),
        ([*GKE, "--sources=."], ["--sources=.: the folder holds no Dockerfile."]),
        ([*GKE, "--cluster=Pool"], ["--cluster=Pool: up to 40"]),
        ([*SLURM, "--time=2:00"], ["--time=2:00 is 120 s", "nothing is left to train in"]),
        ([*SLURM, "--time=soon"], ["write it as HOURS:MINUTES:SECONDS or DAYS-HOURS"]),
        ([*SLURM, "--name=a b"], ["letters, digits and _ . - only"]),
        ([*SLURM, "--create_option=qos"], ["write it as --create_option=--qos=high"]),
        ([*SLURM, "--nodes=0"], ["--nodes: '0' must be a whole number, 1 or more"]),
        (
            [*QUEUED, "--name=X", "--zone=z", "--workdir=w", "--valid_for=z", "--", "--config=y"],
            ["--name=X", "--zone=z", "--workdir=w", "--valid_for=z", "--config=y"],
        ),
        (
            [*QUEUED, "--accelerator=v5p-9", "--config=no_such"],
            ["--accelerator: 'v5p-9'", "--config=no_such"],
        ),
        (["launch"], ["required: WAY"]),
        (["launch", "tpu-vm"], ["required: --name, --config, --workdir, --zone, --accelerator"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_it_is_refused(fakes, command, line, messages):
    told = command(*line, code=2)
    assert told.err.startswith("vidtx: ")
    for message in messages:
        assert message in told.err
    assert told.out == ""
    assert fakes.calls == []


@pytest.mark.parametrize("time", ["1-0", "1-0:30", "2-12:00:00", "24:00:00", "300", "10:30"])
def test_times_of_sbatch_are_known(fakes, command, time):
    assert f"#SBATCH --time={time}\n" in command(*SLURM, "--dry_run", f"--time={time}").out


def test_a_config_outside_the_image_is_refused(fakes, command, tmp_path):
    config = tmp_path / "mine.py"
    config.write_text("import experiments.motions\n\n\ndef get_config():\n"
                      "    return experiments.motions.get_config()\n")  # fmt: skip
    told = command(*GKE, f"--config={config}", code=2)
    assert "the image holds the configs of experiments/ alone" in told.err
    (tmp_path / "Dockerfile").touch()
    (tmp_path / "experiments").mkdir()
    moved = config.rename(tmp_path / "experiments" / "mine.py")
    told = command(*GKE, f"--config={moved}", f"--sources={tmp_path}", "--dry_run")
    assert "vidtx.main --distributed --config=mine --workdir" in told.out


def test_the_embedded_data_set_needs_no_bucket(fakes, command):
    line = [word for word in TPU_VM if "--data_dir" not in word]
    text = command(*line, "--config=motions", "--dry_run").out
    assert "data_dir" not in text


def test_help_says_what_there_is(capsys):
    from vidtx.cli import main

    for line, words in {
        "launch --help": ("tpu-vm", "queued", "gke", "slurm", "docs/launch.md"),
        "launch queued --help": ("--slices N", "--valid_for TIME", "--restarts N", "--dry_run"),
    }.items():
        assert main(line.split()) == 0
        text = capsys.readouterr().out
        assert all(word in text for word in words)
