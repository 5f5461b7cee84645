"""Jobs that embed: files of other names and times, and a device that is too small."""

import dataclasses
import os
import types

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.data_pipelines.conftest import make_frames, write_video  # noqa: F401  fixtures
from tests.inference.exporting import checkpoint
from tests.models import tiny
from vidtx.errors import ConfigError, MachineError
from vidtx.inference.embed import Embedder
from vidtx.inference.embed_file import embed_file, labels_of


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder.load(checkpoint(tmp_path_factory.mktemp("run") / "run"), batch=6)


@pytest.fixture(scope="module")
def data(make_frames, write_video):  # noqa: F811
    """The bytes of a video."""
    return write_video(make_frames(12, 24, 32))


def test_a_video_that_was_replaced_since_is_told(embedder, data, tmp_path):
    path, out = tmp_path / "clip.mp4", tmp_path / "out.npz"
    path.write_bytes(data)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_file(embedder, [str(path)], out, on_video=stop)
    os.utime(path, ns=(1, 1))  # of the same size
    with pytest.raises(ConfigError, match=r"1 then, 1 now; '.*clip.mp4' is another file since"):
        embed_file(embedder, [str(path)], out)


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_names_of_any_bytes_are_written(embedder, data, tmp_path, suffix):
    path = tmp_path / os.fsdecode(b"f\xe9") / os.fsdecode(b"caf\xe9.mp4")
    path.parent.mkdir()
    path.write_bytes(data)
    paths = [str(path), str(path.with_name(os.fsdecode(b"gone\xe9.mp4")))]
    out = tmp_path / f"out.{suffix}"
    told = embed_file(embedder, paths, out, labels=labels_of([tmp_path], paths))
    assert [one.video for one in told.failed] == paths[1:]
    if suffix == "npz":
        with np.load(out) as arrays:
            video, label = str(arrays["video"][0]), str(arrays["label"][0])
    else:
        row = pq.read_table(out).to_pylist()[0]
        video, label = row["video"], row["label"]
    assert video == f"{tmp_path}/f\\udce9/caf\\udce9.mp4"
    assert label == "f\\udce9"


def test_a_batch_that_does_not_fit_the_device_is_told_with_its_cure(embedder, data, tmp_path):
    def full(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")  # as XLA says it

    model = types.SimpleNamespace(embed_dim=tiny.DIM, apply=full)
    pretrained = dataclasses.replace(embedder.pretrained, model=model)
    (tmp_path / "clip.mp4").write_bytes(data)
    crowded = Embedder(pretrained, embedder.preprocessing, batch=6)
    with pytest.raises(MachineError, match=r"6 clips of .* do not fit .*--batch=1"):
        list(crowded.embed_all([tmp_path / "clip.mp4"]))
