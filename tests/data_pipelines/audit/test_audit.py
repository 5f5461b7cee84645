"""Audits of a sound data set, and of damaged shards and records."""

import json
import multiprocessing
import os
import shutil
import time

import numpy as np
import pytest
from array_record.python import array_record_module

from data_pipelines.audit import audit
from data_pipelines.build import Settings, build
from data_pipelines.pool import ProcessKilledError, in_processes
from tests.data_pipelines.audit.damages import kinds, rewrite, shards


def test_a_sound_data_set_has_no_problems(whole):
    told = []
    found = audit(whole, workers=1, report=lambda *state: told.append(state))
    assert found.problems == []
    assert found.unchecked == []
    assert (found.name, found.version, found.classes, found.decoded) == ("demo", "1.0.0", 3, True)
    train, test = found.splits["train"], found.splits["test"]
    assert (train.shards, train.records, train.frames, train.unlabelled) == (2, 6, 180, 0)
    assert (test.shards, test.records, test.frames) == (2, 3, 90)
    assert train.num_bytes == sum(path.stat().st_size for path in shards(whole))
    assert found.fingerprint == json.loads((whole / "manifest.json").read_text())["fingerprint"]
    assert told[-1] == (9, 9, 0)
    assert json.loads(json.dumps(found.to_dict()))["sound"] is True


def test_several_processes_find_the_same_and_end_when_asked(folder):
    def change(number, record):
        return record | {"num_frames": 7} if number == 1 else record

    rewrite(folder, change)
    found = audit(folder, workers=2)
    assert found == audit(folder, workers=1)
    assert found.problems

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(folder, workers=2, between=stop)
    deadline = time.monotonic() + 20  # another thread takes note of their ends
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("storage", ["jpeg", "as_is"])
def test_other_storage_is_audited_too(tmp_path, listing, storage):
    build(listing, tmp_path, Settings(storage=storage), shards=1, workers=1)
    found = audit(tmp_path / "demo", workers=1)
    assert found.problems == []
    assert found.splits["train"].frames == 180

    def change(number, record):
        if storage == "as_is":
            return record | {"num_frames": record["num_frames"] - 1}
        frames = list(record["frames"])
        return record | {"frames": frames[:-1] if number else [frames[0][:99], *frames[1:]]}

    rewrite(tmp_path / "demo" / "1.0.0", change)
    bad = {"jpeg": ["shard_changed", "undecodable", "wrong_frame_count"]}
    assert kinds(audit(tmp_path / "demo", workers=1)) == bad.get(
        storage, ["shard_changed", "wrong_frame_count"]
    )


def test_a_flipped_byte_is_found(folder):
    path = shards(folder)[1]
    content = bytearray(path.read_bytes())
    used = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))
    content[used[len(used) // 2]] ^= 0xFF  # in the middle of what is no padding
    path.write_bytes(content)
    found = audit(folder, workers=1)
    assert kinds(found) == ["corrupt_record", "shard_changed"]
    (problem,) = [one for one in found.problems if one.kind == "corrupt_record"]
    assert problem.shard == path.name
    assert found.splits["train"].records == 5
    place = f"{path.name} record {problem.record}"
    assert str(problem).startswith(f"{place}: corrupt_record: its bytes cannot be read")


def test_a_record_of_something_else_is_found(folder):
    path = shards(folder)[0]
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for content in (b"no example", b"", b"\xff" * 40):
        writer.write(content)
    writer.close()
    found = audit(folder, workers=1)
    assert kinds(found) == ["corrupt_record", "shard_changed"]
    assert found.splits["train"].records == 3


def test_a_process_that_is_killed_is_told():
    with pytest.raises(ProcessKilledError, match="a process was killed at 3 or shortly after"):
        list(in_processes(os._exit, [3], workers=2))


def test_a_shard_that_is_gone_or_cut_is_found(folder):
    gone, cut = shards(folder)
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-100_000])
    found = audit(folder, workers=1)
    assert [(one.kind, one.shard) for one in found.problems] == [
        ("shard_missing", gone.name),
        ("shard_damaged", cut.name),
    ]
    assert found.fingerprint == ""
    assert (found.splits["train"].shards, found.splits["train"].records) == (1, 0)
    assert found.splits["test"].records == 3


def test_a_shard_of_another_data_set_is_found(folder):
    first, second = shards(folder)
    shutil.copy(first, second)
    shutil.copy(first, folder / "demo-train.array_record-00007-of-00009")
    found = audit(folder, workers=1)
    assert kinds(found) == ["content_changed", "repeated_id", "shard_changed", "unknown_file"]
    repeated = [one for one in found.problems if one.kind == "repeated_id"]
    assert len(repeated) == 3
    assert f"also {second.name} record {repeated[0].record}" in repeated[0].message


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"num_frames": 7}, "wrong_frame_count", "and 7 recorded"),
        ({"height": 34}, "wrong_size", "24×16 are decoded, and 24×34 recorded"),
        ({"fps": 25.0}, "wrong_rate", "30 frames per second are stored, and 25 recorded"),
        ({"fps": 0.0}, "wrong_size", "0.0 frames per second"),
        ({"video": b"nonsense"}, "undecodable", "cannot be opened"),
        ({"label": 1}, "content_changed", "its records give"),
        ({"source_start": 3.0}, "content_changed", "its records give"),
    ],
)
def test_a_record_that_says_something_else_is_found(folder, changes, kind, message):
    def change(number, record):
        label = {"label": (record["label"] + 1) % 3} if "label" in changes else {}
        return record | changes | label if number == 2 else record

    rewrite(folder, change)
    found = audit(folder, workers=1)
    assert "shard_changed" in kinds(found)
    assert kind in kinds(found)
    (problem, *_) = [one for one in found.problems if one.kind == kind]
    assert message in problem.message
    if kind != "content_changed":
        assert (problem.shard, problem.record) == (shards(folder)[0].name, 2)
        assert problem.video_id.startswith("clip_")


def test_without_decoding_pictures_go_unseen_and_that_is_said(folder):
    rewrite(folder, lambda number, record: record | {"video": b"nonsense"})
    found = audit(folder, workers=1, decode=False)
    assert kinds(found) == ["shard_changed"]
    assert found.unchecked == ["No frame was decoded."]
    assert kinds(audit(folder, workers=1)) == ["shard_changed", "undecodable"]
