import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle

from data_pipelines import build, digests, errors, records
from data_pipelines.annotations.entries import Caption, Entry
from data_pipelines.build import Settings, plan
from data_pipelines.decoding import decode


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_listing):
    """A build of all that is listed, and what it said."""
    out = tmp_path_factory.mktemp("data")
    listing = make_listing(
        splits={**make_listing(8, 3).splits, "empty": []},
        mirrorable=False,
        unlisted=("a.mp4", "b.mp4"),
        source="made by a test",
    )
    said = []
    manifest = build.build(listing, out, workers=2, shards=3, report=said.append)
    return listing, out, manifest, said


def test_a_build_is_an_ordinary_data_set_of_tfds(whole, videos):
    listing, out, *_ = whole
    builder = tfds.builder("street", data_dir=out)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 8,
        "test": 3,
    }
    assert builder.info.splits["train"].num_shards == 3
    source = tfds.data_source("street", split="train[:50%]", data_dir=out)
    assert len(source) == 4
    assert builder.info.features["label"].names == ["falling", "rising", "turning"]

    entries = {entry.video_id: entry for entry in listing.splits["train"]}
    found = records.open_split("street", "train", out)
    assert sorted(found[number]["video_id"] for number in range(8)) == sorted(entries)
    for number in range(8):
        record = found[number]
        entry = entries[record["video_id"]]
        data = pathlib.Path(entry.path).read_bytes()
        assert record["label"] == entry.label
        assert record["source_sha256"] == hashlib.sha256(data).hexdigest()
        frames = decode.decode_all(record["video"])
        assert frames.shape == decode.decode_all(data).shape
        assert frames.shape[:3] == (record["num_frames"], record["height"], record["width"])
        assert (record["source_start"], record["fps"]) == (0, 30)
        assert record["source_end"] == pytest.approx(record["num_frames"] / 30, abs=1e-6)
        assert source[number]["video"] == record["video"] if number < 4 else True
    assert sorted(path.name for path in (out / "street" / "1.0.0").iterdir()) == sorted(
        ["dataset_info.json", "features.json", "label.labels.txt", "manifest.json"]
        + ["metadata.json"]
        + [f"street-{s}.array_record-0000{k}-of-00003" for s in ("test", "train") for k in range(3)]
    )


def test_the_order_is_mixed_and_that_of_no_machine(whole):
    listing, out, *_ = whole
    source = records.open_split("street", "train", out)
    stored = [source[number]["video_id"] for number in range(len(source))]
    listed = [entry.video_id for entry in listing.splits["train"]]
    assert stored != listed
    assert stored == sorted(listed, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def test_description_and_manifest_tell_what_was_built(whole):
    listing, out, manifest, _ = whole
    description = records.describe("street", out)
    assert description.fingerprint == manifest.fingerprint
    assert not description.mirrorable
    assert description.counts["train"] == {"listed": 8, "found": 8, "stored": 8, "records": 8}
    assert description.dropped == {"test": {}, "train": {}}
    folder = out / "street" / "1.0.0"
    assert build.read_manifest(folder) == manifest
    assert manifest.class_names == ("falling", "rising", "turning")
    assert (manifest.unlisted, manifest.annotations) == (2, listing.annotations)
    assert manifest.settings == Settings()
    assert manifest.encoder["g"] == "12"
    assert {"av", "libavcodec", "libswscale", "x264"} <= set(manifest.versions)
    for split in manifest.splits.values():
        for name, digest in split.shards.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    content = json.loads((folder / "manifest.json").read_text())
    assert content["splits"]["train"]["listed"] == 8


def test_progress_ends_with_everything(whole):
    *_, said = whole
    last = said[-1]
    assert (last.videos, last.total, last.resumed, last.dropped) == (11, 11, 0, 0)
    assert (last.shards, last.total_shards) == (6, 6)
    assert last.num_bytes > 11 * 1000
    assert last.per_second > 0
    assert last.seconds_left == 0
    assert [one.videos for one in said] == sorted(one.videos for one in said)


def test_the_same_build_again_is_finished_at_once(whole):
    listing, out, manifest, _ = whole
    said = []
    again = build.build(listing, out, shards=3, report=said.append)
    assert again == manifest
    assert (manifest.built_now, again.built_now) == (True, False)
    assert not said
    with pytest.raises(errors.BuildConflictError, match=r"is finished.*delete it.*--version"):
        build.build(listing, out, shards=3, restart=True)
    assert not (out / "street" / "1.0.0" / ".building").exists()


def test_a_finished_data_set_is_never_overwritten(whole, make_listing):
    _, out, *_ = whole
    before = (out / "street" / "1.0.0" / "dataset_info.json").stat()
    for restart in (False, True):
        with pytest.raises(errors.BuildConflictError, match="finished data set of other videos"):
            build.build(make_listing(7, 3), out, restart=restart)
    assert (out / "street" / "1.0.0" / "dataset_info.json").stat() == before


def test_content_depends_neither_on_processes_nor_on_shards(whole, make_listing, built):
    listing, out, manifest, _ = whole
    again = build.build(listing, built.out, workers=1, shards=2)
    assert {name: split.content_sha256 for name, split in again.splits.items()} == {
        name: split.content_sha256 for name, split in manifest.splits.items()
    }
    source = records.open_split("street", "train", out)
    assert list(built.read().values()) == [source[number] for number in range(8)]
    assert built.describe().fingerprint == again.fingerprint == manifest.fingerprint


def test_where_the_videos_lie_says_nothing_of_what_is_built(whole, videos, tmp_path, monkeypatch):
    listing, out, manifest, _ = whole
    (tmp_path / "elsewhere").symlink_to(videos)
    monkeypatch.chdir(tmp_path)
    moved = {
        split: [
            dataclasses.replace(entry, path=f"elsewhere/{pathlib.Path(entry.path).name}")
            for entry in entries
        ]
        for split, entries in listing.splits.items()
    }
    listing = dataclasses.replace(listing, splits=moved)
    assert build.build(listing, out, shards=3) == manifest


def test_no_tensorflow_at_any_size(make_listing, built, tmp_path, monkeypatch):
    """TFDS's own writer needs TensorFlow above 1000 MiB; here the bound is one byte."""
    path, loaded = tmp_path / "path", tmp_path / "loaded"
    path.mkdir()
    for name in ("tensorflow", "jax"):
        (path / f"{name}.py").write_text("raise ImportError('not here')")
    (path / "sitecustomize.py").write_text(
        "import os\n"
        "from tensorflow_datasets.core import shuffle\n"
        "shuffle.MAX_MEM_BUFFER_SIZE = 1\n"
        f"open({os.fspath(loaded)!r}, 'a').write(f'{{os.getpid()}} ')\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.fspath(path), prepend=os.pathsep)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 1)
    build.build(make_listing(), built.out, shards=2, workers=2)
    assert len(loaded.read_text().split()) == 2, "both processes were to go without"
    assert len(built.read()) == 6


def test_jpeg_records(make_listing, built):
    settings = Settings(storage="jpeg", max_fps=15.0, jpeg_quality=80)
    manifest = build.build(make_listing(3, 0), built.out, settings, shards=1)
    assert built.describe().fingerprint == manifest.fingerprint
    for record in built.read().values():
        assert "video" not in record
        assert len(record["frames"]) == record["num_frames"]
        assert all(one.startswith(b"\xff\xd8") for one in record["frames"])


def test_records_and_captions_of_long_videos(make_listing, built, monkeypatch):
    monkeypatch.setattr(plan, "_SPOOL_BYTES", 400)  # so that captions of two videos are too many
    listing = make_listing(12, 0, annotations={})
    spoken = [
        Caption(0.0, 0.1, "first"),
        Caption(0.15, 0.3, "across"),
        Caption(0.3, 9.0, "läßt"),
        Caption(50.0, 51.0, "beyond"),
    ]

    def captions():
        yield "not listed", spoken
        for entry in reversed(listing.splits["train"][1:]):
            yield entry.video_id, spoken

    listing = dataclasses.replace(listing, captions=captions)
    settings = Settings(record_seconds=0.2)
    manifest = build.build(listing, built.out, settings, shards=2)
    assert built.describe().fingerprint == manifest.fingerprint
    found = built.read()
    # Video 11 has 17 frames, 0.567 s: six frames a record, and a last one of five.
    assert [name for name in found if name.startswith("-clip #11")] == [
        f"-clip #11_{number:04d}" for number in range(3)
    ]
    second, third = found["-clip #11_0001"], found["-clip #11_0002"]
    assert (second["num_frames"], third["num_frames"]) == (6, 5)
    assert second["source_start"] == pytest.approx(0.2)
    assert [caption["text"] for caption in second["captions"]] == ["across", "läßt"]
    times = [(caption["start"], caption["end"]) for caption in second["captions"]]
    np.testing.assert_allclose(times, [(0, 0.1), (0.1, 0.2)], atol=1e-6)
    assert [caption["text"] for caption in third["captions"]] == ["läßt"]
    assert third["captions"][0]["end"] == pytest.approx(17 / 30 - 0.4, abs=1e-5)
    assert [c["text"] for c in found["-clip #11_0000"]["captions"]] == ["first", "across"]
    assert found["-clip #00_0000"]["captions"] == []
    split = manifest.splits["train"]
    assert split.stored == 12
    assert split.records == len(found) == 24
    # What records hold is all that the digest of the content is of.
    anew = [
        digests.record_digest(
            record["video_id"],
            record["label"],
            record["source_sha256"],
            record["source_start"],
            record["source_end"],
            [tuple(caption.values()) for caption in record["captions"]],
        )
        for record in found.values()
    ]
    assert digests.split_digest(anew, dataclasses.asdict(settings)) == split.content_sha256


def test_digests_follow_what_records_show(make_listing, videos, tmp_path):
    """Each change of source, label, captions or settings is another content; a path is none."""
    base = make_listing(3, 0)

    def content(name, listing=base, settings=None):
        manifest = build.build(listing, tmp_path / name, settings or Settings(), workers=1)
        return manifest.splits["train"].content_sha256

    entry, *rest = base.splits["train"]
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(pathlib.Path(entry.path).read_bytes())
    original = content("original")
    assert content("moved", make_listing(splits={"train": [*rest, dataclasses.replace(
        entry, path=os.fspath(moved))]})) == original  # fmt: skip
    others = {
        content("label", make_listing(splits={"train": [
            *rest, dataclasses.replace(entry, label=entry.label + 1)]})),
        content("source", make_listing(splits={"train": [
            *rest, dataclasses.replace(entry, path=rest[0].path)]})),
        content("settings", settings=Settings(short_side=32)),
    }  # fmt: skip
    assert len(others | {original}) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "two words"}, "'two words' cannot be the name"),
        ({"class_names": ()}, "has no classes"),
        ({"class_names": ("a", "b\nc", "d")}, r"'b\\nc' cannot be the name of a class"),
        ({"class_names": ("a", "\r", "d")}, r"'\\r' cannot be the name of a class"),
        ({"splits": {}}, "lists no videos"),
        ({"splits": {"train": [Entry("a", None), Entry("a", "b.mp4")]}}, "'a' is listed in split"),
        (
            {"splits": {"train": [Entry("a", None)], "test": [Entry("a", None)]}},
            "split 'test' and again in 'train'",
        ),
        ({"splits": {"train": [Entry("caf\udce9", None)]}}, "a name that is no text"),
        ({"splits": {"train": [Entry("a", None, 3)]}}, "label 3, and there are 3 classes"),
    ],
)
def test_impossible_listings(make_listing, tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        build.build(make_listing(**change), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"version": "one"}, "three numbers"),
        ({"shards": 0}, "shards=0"),
        ({"workers": 0}, "workers=0"),
        ({"max_bad": 1.5}, "max_bad=1.5"),
    ],
)
def test_impossible_arguments(make_listing, tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        build.build(make_listing(), tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


def test_folders_of_others_are_left_alone(make_listing, built):
    built.folder.mkdir(parents=True)
    (built.folder / "notes.txt").write_text("mine")
    with pytest.raises(errors.BuildConflictError, match=r"notes\.txt.*which no build has left"):
        build.build(make_listing(), built.out, restart=True)
    assert (built.folder / "notes.txt").read_text() == "mine"


def test_importing_the_room_loads_no_accelerator():
    program = textwrap.dedent(
        """
        import sys
        from data_pipelines.build import build, worker
        assert not {"jax", "tensorflow", "flax", "grain", "vidtx"} & set(sys.modules)
        """
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
