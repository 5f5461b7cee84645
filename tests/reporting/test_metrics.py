import json
import math
import resource
import struct

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from vidtx.errors import MachineError
from vidtx.reporting import MetricWriter, read_metrics


def _values(step):
    values = {"train/loss": 5.0 / step, "train/learning_rate": 0.1}
    return values | ({"eval/top1": 0.5} if step % 20 == 0 else {})


def _train(workdir, start, stop, *, resume_step):
    with MetricWriter(workdir, resume_step=resume_step) as writer:
        for step in range(start, stop, 10):
            writer.write(step, _values(step))
    return workdir / "metrics.jsonl"


def _events(workdir):
    """Reads the TFRecord framing by hand: length, its checksum, data, its checksum."""
    for path in sorted((workdir / "tensorboard").iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            yield event_pb2.Event.FromString(data[place + 12 : place + 12 + length])
            place += length + 16


def test_a_line_is_strict_json_with_its_keys_in_order(tmp_path):
    with MetricWriter(tmp_path / "new" / "run", resume_step=0) as writer:
        writer.write(np.int64(7), {"z": np.float32(0.1), "a": float("inf"), "b": -math.inf, "é": 3})
    text = (tmp_path / "new" / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    assert text == '{"step": 7, "z": 0.10000000149011612, "a": "inf", "b": "-inf", "é": 3.0}\n'


def test_what_is_written_is_read_back(tmp_path):
    with MetricWriter(tmp_path, resume_step=0) as writer:
        writer.write(1, {"train/loss": math.nan, "timing/clips_per_second": 412.5})
        writer.write(2, {"train/loss": -math.inf})
        # On disk at once, not when the writer closes.
        first, second = read_metrics(tmp_path / "metrics.jsonl")
    assert first["step"] == 1
    assert isinstance(first["step"], int)
    assert math.isnan(first["train/loss"])
    assert first["timing/clips_per_second"] == 412.5
    assert second == {"step": 2, "train/loss": -math.inf}


@pytest.mark.parametrize("cut", [0, 1, 7, 30])
def test_a_killed_and_resumed_file_equals_an_undisturbed_one(tmp_path, cut):
    undisturbed = _train(tmp_path / "a", 10, 101, resume_step=0)
    killed = _train(tmp_path / "b", 10, 81, resume_step=0)
    data = killed.read_bytes()
    killed.write_bytes(data[: len(data) - cut])
    _train(tmp_path / "b", 60, 101, resume_step=50)
    assert killed.read_bytes() == undisturbed.read_bytes()
    assert [path.name for path in killed.parent.iterdir() if "tmp" in path.name] == []


def test_resuming_where_the_file_ends_leaves_the_file_alone(tmp_path):
    path = _train(tmp_path, 10, 31, resume_step=0)
    before = path.stat()
    MetricWriter(tmp_path, resume_step=30).close()
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_starting_from_nothing_drops_step_0_too(tmp_path):
    with MetricWriter(tmp_path, resume_step=-1) as writer:
        writer.write(0, {"eval/top1": 0.1})
    MetricWriter(tmp_path, resume_step=0).close()
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1
    MetricWriter(tmp_path, resume_step=-1).close()
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_a_half_written_last_line_is_left_out_when_reading(tmp_path):
    path = _train(tmp_path, 10, 31, resume_step=0)
    path.write_bytes(path.read_bytes()[:-5])
    assert [record["step"] for record in read_metrics(path)] == [10, 20]


@pytest.mark.parametrize(
    "damage",
    ['{"step": 20, "tr', "[20]", '{"loss": 1}', '{"step": 1.5}', '{"step": 1, "x": NaN}', "",
     '{"step": 1, "x": "much"}', "\udcff"],
)  # fmt: skip
def test_other_damage_is_refused_with_file_and_line(tmp_path, damage):
    path = _train(tmp_path, 10, 31, resume_step=0)
    lines = path.read_bytes().split(b"\n")
    lines[1] = damage.encode(errors="surrogateescape")
    path.write_bytes(b"\n".join(lines))
    damaged = path.read_bytes()
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: damaged"):
        read_metrics(path)
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: damaged"):
        MetricWriter(tmp_path, resume_step=10)
    assert path.read_bytes() == damaged


def test_a_write_that_fails_leaves_only_whole_lines(tmp_path):
    path = _train(tmp_path, 10, 51, resume_step=0)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricWriter(tmp_path, resume_step=50) as writer:
        # Room for half a line, as on a disk that fills up.
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
        try:
            with pytest.raises(OSError, match=r"\[Errno"):
                writer.write(60, _values(60))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before
        writer.write(60, _values(60))
    assert read_metrics(path)[-1]["step"] == 60


def test_tensorboard_gets_the_same_scalars_and_hides_what_was_dropped(tmp_path):
    _train(tmp_path, 10, 41, resume_step=0)
    _train(tmp_path, 30, 41, resume_step=20)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    events = list(_events(tmp_path))
    starts = [
        event.step for event in events if event.session_log.status == event_pb2.SessionLog.START
    ]
    assert starts == [1, 21]
    assert [event.file_version for event in events if event.file_version] == ["brain.Event:2"] * 2
    scalars = [
        (event.step, value.tag, value.simple_value)
        for event in events
        for value in event.summary.value
    ]
    assert [step for step, tag, _ in scalars if tag == "train/loss"] == [10, 20, 30, 40, 30, 40]
    assert (20, "eval/top1", 0.5) in scalars


@pytest.mark.parametrize(
    ("step", "values", "match"), [(-1, {}, "step=-1"), (1, {"step": 2.0}, "named 'step'")]
)
def test_impossible_lines_are_refused(tmp_path, step, values, match):
    with MetricWriter(tmp_path, resume_step=0) as writer, pytest.raises(ValueError, match=match):
        writer.write(step, values)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_impossible_resume_steps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="resume_step=-2"):
        MetricWriter(tmp_path, resume_step=-2)


def test_metrics_in_a_bucket_are_stored_before_a_state_is(bucket):
    workdir, path = "gs://some-bucket/run", "some-bucket/run/metrics.jsonl"
    with MetricWriter(workdir, resume_step=0) as writer:
        writer.write(10, _values(10))
        writer.flush()
        assert [r["step"] for r in read_metrics(f"{workdir}/metrics.jsonl")] == [10]
        for step in (20, 30):
            writer.write(step, _values(step))
    assert bucket.objects[path].count(b"\n") == 3
    # A store refuses more than one write a second: lines are held back, and go up together.
    assert bucket.uploads.count(path) == 3
    (events,) = (name for name in bucket.objects if "/tensorboard/" in name)
    assert bucket.uploads.count(events) == 3


def test_a_resumed_file_in_a_bucket_equals_one_of_this_machine(bucket, tmp_path):
    here = _train(tmp_path, 10, 101, resume_step=0)
    for start, stop, resume_step in ((10, 81, 0), (60, 101, 50)):
        with MetricWriter("gs://some-bucket/run", resume_step=resume_step) as writer:
            for step in range(start, stop, 10):
                writer.write(step, _values(step))
    assert bucket.objects["some-bucket/run/metrics.jsonl"] == here.read_bytes()
    assert sum("/tensorboard/" in name for name in bucket.objects) == 2


def test_a_bucket_that_is_down_does_not_hide_what_ended_the_run(bucket):
    def run(error):
        bucket.down = False
        with MetricWriter("gs://some-bucket/run", resume_step=0) as writer:
            writer.write(10, _values(10))
            bucket.down = True
            if error:
                raise error

    with pytest.raises(ZeroDivisionError):
        run(ZeroDivisionError())
    with pytest.raises(MachineError, match=r"metrics\.jsonl cannot be written"):
        run(None)


def test_every_line_parses_without_this_package(tmp_path):
    path = _train(tmp_path, 10, 41, resume_step=0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == read_metrics(path)
