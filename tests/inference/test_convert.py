"""Weights of any source, written as another format."""

import contextlib
import fcntl
import json
import os
import resource

import numpy as np
import pytest

import vidtx
from tests.parity import foreign
from vidtx.checkpoints import CheckpointStore
from vidtx.checkpoints.digests import named_leaves
from vidtx.errors import CheckpointError, ConfigError, MachineError
from vidtx.inference import convert, load_pretrained, open_source
from vidtx.inference.load import nested

from . import folders

# Orbax leaves coroutines unawaited where a write fails.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning"
)


def params_bits(path):
    return folders.bits({k: np.asarray(leaf) for k, leaf in open_source(path).params.items()})


@pytest.mark.parametrize("kind", foreign.SCHEMES)
def test_a_round_trip_changes_no_bit(huggingface, kind, tmp_path):
    source, middle, back, again = (huggingface(kind), *(tmp_path / name for name in "abc"))
    report = convert(source, middle)
    assert report.counts == {
        "used": len(foreign.shapes_of(kind)), "resized": 0, "copied": 0, "new": 0, "dropped": 0
    }  # fmt: skip
    convert(middle, back, to="huggingface")
    assert folders.stored(back) == folders.stored(source)
    convert(back, again)
    assert params_bits(again) == params_bits(middle)
    assert load_pretrained(again).contract == load_pretrained(middle).contract


def test_a_checkpoint_gives_the_model_that_was_converted(huggingface, tmp_path):
    source = huggingface("huggingface_vit")
    changes = {"scheme": "axial", "num_frames": 6, "num_classes": 3, "image_size": (24, 16)}
    convert(source, tmp_path / "axial", seed=5, **changes)
    expected, variables = vidtx.load(source, seed=5, **changes)
    model, found = vidtx.load(tmp_path / "axial")
    assert model == expected
    assert folders.bits(named_leaves(found)) == folders.bits(named_leaves(variables))
    assert vidtx.load(tmp_path / "axial" / "checkpoints" / "0")[0] == expected


def test_what_weights_ask_for_survives_transformers(tmp_path):
    size = foreign.TINY
    arrays = foreign.weights(foreign.shapes_of("divided_space_time"))
    contract = {
        "data.mean": [0.4, 0.45, 0.5], "data.std": [0.2, 0.225, 0.25], "data.channel_order": "bgr",
        "data.stride": 3, "data.sampling": "segments", "data.target_fps": 12.5,
        "data.frames": 4, "data.image_size": [16, 16], "data.short_videos": "loop",
        "data.eval_short_side": 20, "data.multi_label": True, "class_names": list("abcde"),
        "dataset": "ssv2", "fingerprint": "f" * 64, "model.name": f"timesformer_b{size.patch}",
        "model.scheme": "divided", "model.position_embedding": "space_time",
        "model.embed_dim": size.dim, "model.depth": size.depth, "model.num_heads": size.heads,
    }  # fmt: skip
    with CheckpointStore(tmp_path / "run", contract=contract) as store:
        store.save(3, {"step": np.int32(3), "params": nested(folders.params(arrays))})
    convert(tmp_path / "run", tmp_path / "there", to="huggingface")
    report = convert(tmp_path / "there", tmp_path / "back")
    assert load_pretrained(tmp_path / "back").contract == contract
    assert not any("Something" in note for note in report.notes)
    assert params_bits(tmp_path / "back") == params_bits(tmp_path / "run")
    larger = load_pretrained(tmp_path / "there", image_size=32).contract
    assert larger["data.eval_short_side"] == 40


def test_the_report_lies_beside_the_weights(huggingface, tmp_path):
    for to in ("vidtx", "huggingface"):
        names = list("abc")
        report = convert(
            huggingface("divided_space_time"), tmp_path / to, to=to, seed=2, class_names=names,
            num_classes=3,
        )  # fmt: skip
        record = json.loads((tmp_path / to / "conversion.json").read_text())
        assert record.items() >= json.loads(json.dumps(report.to_dict())).items()
        assert (record["seed"], record["to"]) == (2, to)
        assert record["layout"] == "TimeSformer (Hugging Face)"
        assert record["contract"]["class_names"] == names
        assert report.counts["new"] == report.counts["dropped"] == 2
    config = json.loads((tmp_path / "huggingface" / "config.json").read_text())
    assert config["id2label"] == {"0": "a", "1": "b", "2": "c"}
    assert load_pretrained(tmp_path / "vidtx").contract["class_names"] == names


def test_a_dry_run_tells_the_same_and_writes_nothing(huggingface, tmp_path):
    source = huggingface("divided_space_time")
    for to in ("vidtx", "huggingface"):
        options = {"to": to, "position_embedding": "space", "num_classes": 2}
        told = convert(source, tmp_path / "no" / "where", dry_run=True, **options)
        assert list(tmp_path.iterdir()) == []
        assert convert(source, tmp_path / to, **options) == told
        (tmp_path / to).rename(tmp_path.parent / f"{tmp_path.name}-{to}")


def test_what_transformers_adds_in_any_case_is_new_and_zero(huggingface, tmp_path):
    source, target = huggingface("joint_space_time"), tmp_path / "none"
    report = convert(source, target, to="huggingface", position_embedding="none")
    entries = {entry.ours: entry for entry in report.of("new")}
    assert set(entries) == {"embedding.position", "embedding.time"}
    assert all("zeros" in entry.how for entry in entries.values())
    arrays = open_source(target).params
    assert not np.any(arrays["embedding.position"])
    assert not np.any(arrays["embedding.time"])
    model, variables = vidtx.load(target)
    assert variables["params"]["embedding"].keys() >= {"position", "time"}
    assert model.position_embedding == "space_time"


def test_what_transformers_cannot_hold_is_refused_with_all_reasons(huggingface, tmp_path):
    source = huggingface("divided_space_time")
    for scheme in ("axial", "sparse_local_global", "divided_space_first", "divided_parallel"):
        with pytest.raises(ConfigError) as error:
            convert(
                source, tmp_path / "a", to="huggingface", scheme=scheme, image_size=(16, 24),
                dry_run=scheme == "axial",
            )  # fmt: skip
        for part in (repr(scheme), "to=vidtx", "16×24", "image_size=16"):
            assert part in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(huggingface, tmp_path):
    source = huggingface("space_only")
    full, file, link = (tmp_path / name for name in ("full", "file", "link"))
    full.mkdir()
    (full / "mine").write_text("mine")
    file.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    before = folders.listing(tmp_path)
    for target in (full, file, link, "gs://bucket/place"):
        with pytest.raises(ConfigError):
            convert(source, target)
    assert folders.listing(tmp_path) == before
    (tmp_path / "empty").mkdir()
    convert(source, tmp_path / "empty", to="huggingface")
    convert(source, tmp_path / "new" / "below", to="huggingface")
    assert folders.stored(tmp_path / "empty") == folders.stored(tmp_path / "new" / "below")


def test_a_wrong_format_or_source_is_refused(huggingface, damaged, tmp_path):
    with pytest.raises(ConfigError, match="'onnx'"):
        convert(huggingface("space_only"), tmp_path / "a", to="onnx")
    with pytest.raises(ConfigError, match="no file or folder"):
        convert(tmp_path / "nowhere", tmp_path / "a")
    with pytest.raises(CheckpointError):
        convert(damaged, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def largest_file(size):
    """No file may become larger, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("to", ["vidtx", "huggingface"])
def test_a_full_disk_leaves_nothing_behind(huggingface, to, tmp_path):
    source = huggingface("joint_space_time")
    load_pretrained(source)  # whatever that writes, such as compiled programs, is not meant
    with largest_file(2048), pytest.raises((MachineError, OSError)) as error:
        convert(source, tmp_path / "full", to=to)
    assert vidtx.errors.explain(error.value).exit_code == 7
    assert "Free space" in str(vidtx.errors.explain(error.value))
    assert list(tmp_path.iterdir()) == []
    convert(source, tmp_path / "full", to=to)


def test_one_that_was_interrupted_leaves_nothing_behind(huggingface, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(huggingface("space_only"), tmp_path / "a", to="huggingface")
    assert list(tmp_path.iterdir()) == []


def test_two_do_not_write_the_same_folder(huggingface, tmp_path):
    beside = tmp_path / ".a.unfinished"
    beside.mkdir()
    (beside / "theirs").write_text("theirs")
    handle = os.open(beside, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(ConfigError, match="Another conversion is writing"):
        convert(huggingface("space_only"), tmp_path / "a")
    assert (beside / "theirs").exists()
    os.close(handle)
    convert(huggingface("space_only"), tmp_path / "a", to="huggingface")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert not (tmp_path / "a" / "theirs").exists()


def test_nothing_is_emptied_through_a_link(huggingface, tmp_path):
    source, theirs = huggingface("space_only"), tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "mine").write_text("mine")
    beside = tmp_path / ".a.unfinished"
    for target in (theirs, theirs / "mine", tmp_path / "nowhere"):
        beside.symlink_to(target)
        with pytest.raises(ConfigError, match=r"\.a\.unfinished.* is a link or a file"):
            convert(source, tmp_path / "a", to="huggingface")
        beside.unlink()
    beside.mkdir()
    (beside / "link").symlink_to(theirs)
    convert(source, tmp_path / "a", to="huggingface")
    assert not (tmp_path / "a" / "link").exists()
    assert (theirs / "mine").read_text() == "mine"


def test_others_may_read_what_was_written(huggingface, tmp_path):
    convert(huggingface("space_only"), tmp_path / "a", to="huggingface")
    modes = {path.stat().st_mode for path in (tmp_path / "a").iterdir()}
    assert len(modes) == 1
