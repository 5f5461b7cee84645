"""Files on this machine and in buckets."""

import importlib.util
import subprocess
import sys

import pytest

from vidtx.errors import ConfigError, MachineError
from vidtx.reporting.files import (
    absolute,
    as_path,
    check_reachable,
    exists,
    in_bucket,
    read_bytes,
    replacing,
    write_bytes,
)


@pytest.fixture(params=["here", "bucket"])
def folder(request, tmp_path, bucket):
    """A folder on this machine, and one in a bucket."""
    return as_path(tmp_path if request.param == "here" else "gs://some-bucket/runs/x")


def test_a_file_is_written_read_and_replaced(folder):
    path = folder / "a.json"
    assert not exists(path)
    with pytest.raises(FileNotFoundError):
        read_bytes(path)
    for data in (b"one", b"another"):
        write_bytes(path, data)
        assert (read_bytes(path), exists(path), exists(folder)) == (data, True, True)
    assert [found.name for found in folder.iterdir()] == ["a.json"]


def test_what_is_drawn_takes_its_place_at_the_end(folder):
    path = folder / "picture.png"
    with replacing(path) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"old")

    def fail_in_the_middle():
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_the_middle()
    assert read_bytes(path) == b"old"
    assert [found.name for found in folder.iterdir()] == ["picture.png"]


def test_paths_mean_the_same_anywhere(tmp_path, monkeypatch, bucket):
    monkeypatch.chdir(tmp_path)
    assert absolute("gs://some-bucket/runs") == "gs://some-bucket/runs"
    assert absolute("runs") == str(tmp_path / "runs")
    assert in_bucket(as_path("gs://some-bucket/runs"))
    assert not in_bucket(as_path("runs"))


@pytest.mark.parametrize("text", ["s3://some-bucket/x", "https://host/x", "gs:/some-bucket/x"])
def test_other_stores_are_refused(text):
    with pytest.raises(ConfigError, match="gs://BUCKET/"):
        as_path(text)


def test_a_bucket_that_is_down_is_not_taken_for_an_empty_one(bucket):
    path = as_path("gs://another-bucket/runs/x")
    write_bytes(path / "config.json", b"{}")
    bucket.down = True
    for use in (exists, read_bytes, lambda path: write_bytes(path, b""), check_reachable):
        with pytest.raises(MachineError, match="the network is down") as caught:
            use(path / "config.json")
        assert "gcloud auth" in str(caught.value)
    bucket.down = False
    check_reachable(path)
    assert read_bytes(path / "config.json") == b"{}"


def test_a_path_without_a_bucket_is_refused(bucket):
    with pytest.raises(ConfigError, match="names no bucket"):
        check_reachable("gs://")


@pytest.mark.skipif(importlib.util.find_spec("gcsfs") is not None, reason="gcsfs is installed")
def test_what_is_missing_for_buckets_is_named():
    program = (
        "from vidtx.errors import MachineError\n"
        "from vidtx.reporting.files import as_path\n"
        "try:\n    as_path('gs://some-bucket/x')\n"
        "except MachineError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'vidtx[gcs]'" in said.stdout
