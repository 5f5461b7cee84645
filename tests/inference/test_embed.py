"""Features of videos, and the files that they are written to."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

from data_pipelines.video_files import list_video_files
from data_pipelines.video_reader import VideoReader
from tests.data_pipelines.conftest import make_frames, write_video  # noqa: F401  fixtures
from tests.inference.exporting import checkpoint
from tests.models import tiny
from tests.tiny_run import ROOT
from vidtx.errors import CheckpointError, ConfigError
from vidtx.inference import FailedVideo, Predictor, load_pretrained
from vidtx.inference.embed import Embedder, embed
from vidtx.inference.embed_file import embed_file, labels_of


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A checkpoint of a tiny model of two clips and three crops a video; not to be changed."""
    return checkpoint(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="session")
def embedder(run):
    """Its features, compiled once."""
    return Embedder.load(run, batch=4)


@pytest.fixture(scope="session")
def folder(tmp_path_factory, make_frames, write_video):  # noqa: F811
    """``LABEL/clip.mp4`` of 18 videos, and one that is none, in two folders; not to be changed."""
    root = tmp_path_factory.mktemp("clips")
    for number in range(18):
        place = root / ("jump", "fall down")[number % 2]
        place.mkdir(exist_ok=True)
        video = write_video(make_frames(12 + 3 * (number % 4), 24, 32, seed=number))
        (place / f"clip{number}.mp4").write_bytes(video)
    (root / "jump" / "notes.mp4").write_text("no video")
    return root


@pytest.fixture(scope="session")
def files(folder):
    return list_video_files([folder]).files


@pytest.fixture(scope="session")
def whole(embedder, folder, files, tmp_path_factory):
    """What an undisturbed call writes of all of them."""
    out = tmp_path_factory.mktemp("out") / "whole.parquet"
    told = embed_file(embedder, files, out, labels=labels_of([folder], files))
    return out, told


def test_features_are_what_the_head_classifies(run, embedder, files):
    predictor = Predictor.load(run)
    head = predictor.pretrained.variables["params"]["head"]
    with VideoReader(files[0]) as video:
        clips = np.stack([one.clip for one in video.clips(predictor.preprocessing.clips)])
    (found,) = embed(files[0], embedder)
    assert found.features.shape == (6, tiny.DIM)
    assert found.features.dtype == np.float32
    logits = found.features @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    np.testing.assert_allclose(logits, predictor.logits(clips), rtol=1e-5, atol=1e-5)
    assert found.clips.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.crops.tolist() == [0, 1, 2, 0, 1, 2]
    # Batches are filled up and shared: a clip's features depend on it alone, to rounding.
    np.testing.assert_allclose(
        embedder.features(clips[::-1])[::-1], found.features, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("scheme", ["space", "joint", "divided", "sparse_local_global", "axial"])
def test_asking_for_features_changes_no_logit(scheme):
    model, weights, clips = tiny.create(scheme), tiny.weights(scheme), tiny.clips(tiny.GRID)
    both = jax.jit(lambda p, x: model.apply({"params": p}, x, return_features=True))
    logits, features = both(weights, clips)
    np.testing.assert_array_equal(logits, tiny.forward(model)(weights, clips))
    head = weights["head"]
    np.testing.assert_allclose(features @ head["kernel"] + head["bias"], logits, atol=1e-5)


def test_of_each_video_its_mean(embedder, files):
    for clips, mean in zip(
        embed(files[:3], embedder), embed(files[:3], embedder, per="video"), strict=True
    ):
        assert clips.video == mean.video
        assert mean.features.shape == (1, tiny.DIM)
        np.testing.assert_allclose(mean.features[0], clips.features.mean(axis=0), atol=1e-6)
        assert (mean.starts[0], mean.ends[0]) == (clips.starts.min(), clips.ends.max())


def test_windows_along_videos(embedder, files, folder):
    paths = [files[0], str(folder / "jump" / "notes.mp4"), files[3]]
    first, none, last = embed(paths, embedder, hop_seconds=0.1)
    assert isinstance(none, FailedVideo)
    assert none.video == paths[1]
    for found, path in ((first, paths[0]), (last, paths[2])):
        with VideoReader(path) as video:
            spec = embedder.preprocessing.clips
            traces = list(video.windows(spec, video.along(spec, hop_seconds=0.1)))
        assert found.clips.tolist() == list(range(len(traces)))
        assert len(traces) > 1
        clips = np.stack([trace.clip for trace in traces])
        np.testing.assert_allclose(found.features, embedder.features(clips), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.starts, [one.times.min() for one in traces], atol=1e-6)


def test_a_table_of_all_videos(whole, embedder, folder, files):
    out, told = whole
    table = pq.read_table(out)
    assert told.rows == table.num_rows == 18 * 6
    assert told.videos == 19
    assert told.before == 0
    (failed,) = told.failed
    assert failed.video.endswith("notes.mp4")
    assert failed.kind == "undecodable"
    good = [path for path in files if path != failed.video]
    columns = table.to_pydict()
    assert columns["video"] == [path for path in good for _ in range(6)]
    assert columns["label"] == [os.path.basename(os.path.dirname(one)) for one in columns["video"]]
    assert columns["clip"] == [0, 0, 0, 1, 1, 1] * 18
    assert columns["crop"] == [0, 1, 2] * 36
    assert all(a < b for a, b in zip(columns["start_seconds"], columns["end_seconds"], strict=True))
    rows = np.array(columns["embedding"], np.float32)
    expected = np.concatenate([one.features for one in embed(good, embedder)])
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-5)
    facts = json.loads(table.schema.metadata[b"vidtx"])
    assert facts["dim"] == tiny.DIM
    assert facts["per"] == "clip"
    assert facts["preprocessing"]["channel_order"] == "bgr"
    assert len(facts["weights"]) == 64
    assert pq.ParquetFile(out).metadata.num_row_groups == 2  # written as it goes


def test_numpy_holds_the_same(whole, embedder, folder, files, tmp_path):
    out = tmp_path / "all.npz"
    embed_file(embedder, files, out, labels=labels_of([folder], files))
    table = pq.read_table(whole[0]).to_pydict()
    with np.load(out) as arrays:  # without pickles
        assert arrays.keys() == table.keys() | {"metadata"}
        for name, column in table.items():
            assert arrays[name].tolist() == column
        assert json.loads(str(arrays["metadata"]))["dim"] == tiny.DIM
    none = embed_file(embedder, [str(folder / "jump" / "notes.mp4")], tmp_path / "none.npz")
    assert none.rows == 0
    with np.load(none.out) as arrays:
        assert arrays["embedding"].shape == (0, tiny.DIM)
        assert arrays["video"].shape == (0,)


def test_one_that_is_killed_goes_on_and_ends_the_same(
    whole, run, embedder, folder, files, tmp_path
):
    out = tmp_path / "killed.parquet"
    program = textwrap.dedent(
        f"""
        import os, signal
        from vidtx.inference.embed import Embedder
        from vidtx.inference.embed_file import embed_file, labels_of
        files = {files!r}
        def tell(done, before, found):
            if done == 18:
                os.kill(os.getpid(), signal.SIGKILL)
        embedder = Embedder.load({str(run)!r}, batch=4)
        embed_file(embedder, files, {str(out)!r}, labels=labels_of([{str(folder)!r}], files),
                   on_video=tell)
        """
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    labels = labels_of([folder], files)

    def again(embedder=embedder, files=files, **options):
        options = {"labels": labels} | options
        return embed_file(embedder, files, out, **options)

    with pytest.raises(ConfigError, match=r"(?s)begun otherwise:\n  - per: 'clip' then, 'video'"):
        again(per="video")
    with pytest.raises(ConfigError, match=r"(?s)videos: 19 then, 18 now; .*Give the same weights"):
        again(files=files[1:])
    with pytest.raises(ConfigError, match=r"videos: 19 then, 19 now; .* in another order\n"):
        again(files=files[::-1])
    with pytest.raises(ConfigError, match=r"videos: .*clip1.mp4' is another file since"):
        again(labels={})
    other = Embedder.load(run, batch=4, views="1x3")
    with pytest.raises(ConfigError, match="preprocessing: "):
        again(embedder=other)
    seen = []
    told = again(on_video=lambda done, before, found: seen.append((done, before, found)))
    assert told.before == 16
    assert told.videos == 19
    assert len(told.failed) == 1
    assert [(done, before) for done, before, _ in seen] == [(16, 16), (17, 16), (18, 16), (19, 16)]
    assert out.read_bytes() == whole[0].read_bytes()
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(ConfigError, match="is there already"):
        again()


def test_a_damaged_part_is_made_again(whole, embedder, folder, files, tmp_path):
    out = tmp_path / "again.parquet"

    def stop(done, before, found):
        if done == 17:
            raise KeyboardInterrupt

    labels = labels_of([folder], files)
    with pytest.raises(KeyboardInterrupt):
        embed_file(embedder, files, out, labels=labels, on_video=stop)
    (part,) = tmp_path.rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    told = embed_file(embedder, files, out, labels=labels)
    assert told.before == 0
    assert out.read_bytes() == whole[0].read_bytes()


def test_labels_are_told_by_folders_below_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("root/a/1.mp4", "root/b/c/2.mp4", "root/3.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for named in ("root", "root/", "./root", str(tmp_path / "root"), "."):
        labels = labels_of([named], list_video_files([named]).files)
        found = {os.path.basename(path): label for path, label in labels.items()}
        top = "root" if named == "." else None
        assert found == {"1.mp4": "a", "2.mp4": "c", "3.mp4": top}
    assert labels_of(["root/a/1.mp4"], ["root/a/1.mp4"]) == {"root/a/1.mp4": None}


def test_wrong_calls_are_refused(embedder, files, tmp_path, run):
    for call, message in (
        (lambda: embed_file(embedder, files, tmp_path / "a.csv"), "must end in .parquet or .npz"),
        (lambda: embed_file(embedder, files, "gs://a/b.npz"), "on this machine"),
        (lambda: list(embed(files, embedder, per="frame")), "per is 'frame'; it must be clip or"),
        (lambda: list(embed(files, embedder, hop_seconds=0)), "hop_seconds is 0; it must be above"),
        (lambda: embed(files, embedder, views="1x1"), "an Embedder has them already"),
        (lambda: Embedder.load(run, batch=0), "batch is 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()
    assert not list(tmp_path.iterdir())


def test_features_that_are_no_numbers_are_refused(tmp_path, files):
    def spoilt(params):
        params["norm"]["scale"] = params["norm"]["scale"] * np.inf
        return params

    pretrained = load_pretrained(checkpoint(tmp_path / "run", change=spoilt))
    embedder = Embedder(pretrained, Embedder.load(tmp_path / "run").preprocessing, batch=4)
    with pytest.raises(CheckpointError, match="no finite numbers"):
        embed_file(embedder, files, tmp_path / "a.npz")
