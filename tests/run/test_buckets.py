"""Runs whose directory, data and first weights lie in a bucket.

The bucket is `tests.run.bucket_server`, which the libraries of a run reach as they do the real one:
gcsfs, TensorStore, google-cloud-storage, and the C++ client in array_record.
"""

import hashlib
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import sysconfig
import time

import numpy as np
import pytest

from tests.faults.processes import assert_same_end, saved_state
from tests.run.bucket_server import serving
from tests.tiny_run import arguments, environment, free_port
from vidtx import main

BUCKET = "runs-bucket"
DATA, RUN = f"gs://{BUCKET}/data", f"gs://{BUCKET}/runs/x"
OPTIONS = {"train.steps": 12, "checkpoint.every_steps": 2, "eval.every_steps": 6}
OPTIONS |= {"checkpoint.keep_best": 1, "profile.first_step": 10, "profile.steps": 1}

slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("workdir", "code", "message"),
    [
        ("s3://some-bucket/runs", 2, "gs://BUCKET/"),
        pytest.param(
            "gs://some-bucket/runs",
            7,
            "pip install 'vidtx[gcs]'",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("gcsfs") is not None, reason="gcsfs is installed"
            ),
        ),
    ],
)
def test_what_cannot_be_used_is_named(workdir, code, message, motions_dir, capsys):
    assert main.main(arguments(motions_dir, workdir)) == code
    assert message in capsys.readouterr().err


def test_a_config_lies_on_this_machine(motions_dir, tmp_path, capsys):
    command = arguments(motions_dir, tmp_path, config="gs://some-bucket/config.py")
    assert main.main(command) == 2
    assert "Copy it here" in capsys.readouterr().err


@pytest.fixture(scope="session")
def python(pytestconfig):
    """A Python that has gcsfs: this one, or one made for the tests on top of it."""
    if importlib.util.find_spec("gcsfs"):
        return sys.executable
    digest = hashlib.sha256(f"{sys.prefix} {sys.version}".encode()).hexdigest()[:12]
    folder = pathlib.Path(pytestconfig.cache.mkdir(f"environment-gcsfs-{digest}"))
    found, whole = folder / "bin" / "python", folder / "whole"
    if not whole.exists():
        try:
            _make([sys.executable, "-m", "venv", "--clear", folder])
            site = sysconfig.get_path("purelib", vars={"base": str(folder)})
            pathlib.Path(site, "below.pth").write_text(sysconfig.get_path("purelib"))
            _make([found, "-m", "pip", "install", "--quiet", "gcsfs>=2024.2"])
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no environment with gcsfs can be made: {error.output[-500:]}")
        whole.touch()
    return found


def _make(command):
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Bucket:
    """A bucket that holds the data, and what is done with it by other processes."""

    def __init__(self, store, address, python, logs):
        self.store, self._python, self._logs, self._count = store, python, logs, 0
        self._environment = {
            "STORAGE_EMULATOR_HOST": address,
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": address,
            "TENSORSTORE_GCS_HTTP_URL": address,
            # Of where a bucket lies, which gcsfs asks a service that is not served here.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }

    def start(self, command, module="vidtx.main", devices=1):
        """Starts ``python -m MODULE *COMMAND``."""
        self._count += 1
        name = self._logs / str(self._count)
        with open(f"{name}.out", "w") as out, open(f"{name}.err", "w") as err:
            process = subprocess.Popen(
                [self._python, "-m", module, *command],
                env=environment(devices) | self._environment,
                cwd=self._logs,
                stdout=out,
                stderr=err,
            )
        return process, name

    def finish(self, command, **options):
        """Runs it to its end: exit code, what it said and what it complained of."""
        return self.ended(*self.start(command, **options))

    def ended(self, process, name):
        """The same, of a process that was started."""
        try:
            code = process.wait(400)
        finally:
            process.kill()
        return code, *(pathlib.Path(f"{name}.{end}").read_text() for end in ("out", "err"))

    def start_and_kill(self, command, name):
        """Starts it, and kills it once an object is there."""
        process, log = self.start(command)
        self.wait_for(name, process, log)
        process.kill()
        process.wait()

    def fetch(self, name, folder):
        """Copies a folder of the bucket here."""
        for path in self.names(name):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(f"{name}/{path}"))
        return folder

    def names(self, name):
        """Names below one, relative to it."""
        names = self.store.names(BUCKET)
        return [found.removeprefix(f"{name}/") for found in names if found.startswith(f"{name}/")]

    def read(self, name):
        """What an object holds."""
        return self.store.get(BUCKET, name, {}).data

    def wait_for(self, name, process, log):
        """Waits until an object is there; ``process`` is to write it."""
        deadline = time.monotonic() + 400
        while name not in self.store.names(BUCKET):
            assert process.poll() is None, self.ended(process, log)
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def bucket(python, motions_dir, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    with serving(BUCKET, "private-bucket") as (store, address):
        for path in motions_dir.rglob("*"):
            if path.is_file():
                name = f"data/{path.relative_to(motions_dir).as_posix()}"
                store.put(BUCKET, name, path.read_bytes(), {})
        store.put("private-bucket", "something", b"", {})
        yield Bucket(store, address, python, logs)


@pytest.fixture(scope="module")
def here(motions_dir, tmp_path_factory):
    """The same run on this machine, that nothing happened to."""
    workdir = tmp_path_factory.mktemp("runs") / "here"
    command = [sys.executable, "-m", "vidtx.main", *arguments(motions_dir, workdir, **OPTIONS)]
    subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL)
    return workdir


def _kinds(names):
    """Names of a run directory's files, without what is a library's own affair or a date."""
    names = {re.sub(r"tfevents.*|profile/.*xplane", "", name) for name in names}
    return {name for name in names if not re.search(r"^(checkpoints|best)/|trace.json", name)}


@slow
def test_a_run_killed_and_judged_again_is_the_run_of_this_machine(bucket, here, tmp_path):
    command = arguments(DATA, RUN, **OPTIONS)
    bucket.start_and_kill(command, "runs/x/checkpoints/4/commit_success.txt")
    code, said, error = bucket.finish(command)
    assert code == 0, error
    assert "Going on after step" in said
    there = bucket.fetch("runs/x", tmp_path / "there")
    assert_same_end(there, here, 12)
    files = [path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()]
    assert _kinds(bucket.names("runs/x")) == _kinds(files)
    assert bucket.names("runs/x/profile")
    known = json.loads(bucket.read("runs/x/dataset.json"))
    assert known["data_dir"] == DATA
    assert known["fingerprint"] == json.loads((here / "dataset.json").read_text())["fingerprint"]

    before = json.loads(bucket.read("runs/x/evaluation.json"))
    code, said, error = bucket.finish([f"--workdir={RUN}", "--mode=eval"])
    assert code == 0, error
    assert "16 of 16 videos judged" in said
    assert json.loads(bucket.read("runs/x/evaluation.json")) == before


@slow
def test_a_damaged_checkpoint_is_set_aside_and_one_that_cannot_be_read_is_not(
    bucket, here, tmp_path
):
    command = arguments(DATA, RUN, **OPTIONS)
    bucket.start_and_kill(command, "runs/x/checkpoints/6/commit_success.txt")
    newest = max(int(name.split("/")[0]) for name in bucket.names("runs/x/checkpoints")
                 if name.count("/") == 1 and name.endswith("commit_success.txt"))  # fmt: skip
    folder = f"runs/x/checkpoints/{newest}/state"

    bucket.store.forbidden = f"{folder}/"
    code, _, error = bucket.finish(command)
    assert code == 7, error
    assert f"Checkpoint {newest} in gs://{BUCKET}/runs/x/checkpoints cannot be" in error
    assert "Traceback" not in error
    bucket.store.forbidden = None
    assert not any("damaged" in name for name in bucket.names("runs/x/checkpoints"))

    for name in bucket.names(folder):
        if "/d/" in f"/{name}":
            data = bucket.read(f"{folder}/{name}")
            bucket.store.put(BUCKET, f"{folder}/{name}", data[: len(data) // 2], {})
    code, said, error = bucket.finish(command)
    assert code == 0, error
    assert f"Checkpoint {newest} is damaged" in said
    assert bucket.names(f"runs/x/checkpoints/damaged-{newest}/state")
    assert_same_end(bucket.fetch("runs/x", tmp_path / "there"), here, 12)


@slow
def test_a_bucket_that_refuses_writes_stops_a_run_and_costs_nothing(bucket, here, tmp_path):
    command = arguments(DATA, RUN, **OPTIONS)
    process, log = bucket.start(command)
    bucket.wait_for("runs/x/checkpoints/2/commit_success.txt", process, log)
    bucket.store.forbidden = "runs/x/checkpoints/[0-9]+/state"
    code, _, error = bucket.ended(process, log)
    assert code == 7, error
    assert f"could not be written to gs://{BUCKET}/runs/x/checkpoints" in error
    bucket.store.forbidden = None
    code, _, error = bucket.finish(command)
    assert code == 0, error
    assert_same_end(bucket.fetch("runs/x", tmp_path / "there"), here, 12)


@slow
def test_a_run_begins_with_weights_of_a_bucket(bucket, here, motions_dir, tmp_path):
    """Those of a run that was copied there, as by gcloud storage cp."""
    for path in (here / "checkpoints").rglob("*"):
        if path.is_file():
            name = f"runs/first/{path.relative_to(here).as_posix()}"
            bucket.store.put(BUCKET, name, path.read_bytes(), {})
    source = f"gs://{BUCKET}/runs/first"
    options = {"train.steps": 2, "train.init_from": source}
    code, said, error = bucket.finish(arguments(motions_dir, tmp_path / "second", **options))
    assert code == 0, error
    assert f"Begins with the weights of {source}/checkpoints/12" in said
    begun, first = saved_state(tmp_path / "second", 0), saved_state(here, 12)
    names = [name for name in first if "params" in name]
    assert names
    for name in names:
        np.testing.assert_array_equal(begun[name], first[name], err_msg=name)


@slow
def test_two_processes_share_a_bucket(bucket):
    options = OPTIONS | {"profile.first_step": None, "checkpoint.keep_best": 0}
    job = [f"--coordinator=localhost:{free_port()}", "--num_processes=2"]
    processes = [
        bucket.start([*arguments(DATA, RUN, **options), *job, f"--process_id={n}"], devices=2)
        for n in range(2)
    ]
    for process, log in processes:
        code, _, error = bucket.ended(process, log)
        assert code == 0, error
    assert json.loads(bucket.read("runs/x/evaluation.json"))["step"] == 12
    steps = {name.split("/")[0] for name in bucket.names("runs/x/checkpoints")}
    assert steps == {".folder", "10", "12"}


@slow
def test_runs_are_compared_in_a_bucket(bucket, tmp_path):
    config = tmp_path / "two.py"
    config.write_text(
        "from tests.tiny_run import tiny_config\n"
        "ARGUMENTS = ('space', 'divided')\n"
        "def get_config(scheme=None):\n"
        f"    config = tiny_config({DATA!r}, **{{'train.steps': 2}})\n"
        "    config.model.scheme = scheme or 'divided'\n"
        "    return config\n"
    )
    command = [f"--config={config}", f"--workdir={RUN}"]
    code, said, error = bucket.finish(command, module="vidtx.compare")
    assert code == 0, error
    assert "divided" in bucket.read("runs/x/table.md").decode()
    assert {"table.json", "curves.png", "space/seed_0/report.html"} <= set(bucket.names("runs/x"))
    code, said, error = bucket.finish(command, module="vidtx.compare")
    assert code == 0, error
    assert said.count("finished already") == 2


@slow
@pytest.mark.parametrize(
    ("workdir", "code", "message"),
    [
        ("gs://absent-bucket/runs", 2, "There is no bucket gs://absent-bucket"),
        ("gs://forbidden-bucket/runs", 7, "gcloud auth application-default login"),
        ("gs://private-bucket/runs", 7, "storage.buckets.get of the bucket"),
        (f"gs://{BUCKET}/data", 2, "holds files but no run"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_named(bucket, workdir, code, message):
    found, _, error = bucket.finish(arguments(DATA, workdir))
    assert found == code, error
    assert message in error
    assert "Traceback" not in error
