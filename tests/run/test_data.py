"""What a run says of its data before it starts, and what it refuses to do with them."""

import json
import shutil

import pytest

from data_pipelines.workers import Reading, held_bytes
from tests.tiny_run import tiny_config
from vidtx.config import resolve
from vidtx.errors import ConfigError, MachineError
from vidtx.run.data import clip_spec
from vidtx.run.setup import set_up, summary
from vidtx.training import StopSignal

NOTES = {
    "mirrorable": False,
    "counts": {"train": {"listed": 4100, "found": 4000, "stored": 3990, "records": 3990}},
    "dropped": {"train": {"undecodable": 7, "missing_file": 100, "too_few_frames": 3}},
}


@pytest.fixture(scope="module")
def noted_dir(motions_dir, tmp_path_factory):
    """The embedded data set with notes as a build of videos leaves them."""
    folder = shutil.copytree(motions_dir, tmp_path_factory.mktemp("noted") / "data")
    (path,) = folder.glob("motions/*/metadata.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | NOTES))
    return folder


def setup_of(data_dir, may_build=True, **options):
    return set_up(resolve(tiny_config(data_dir, **options)), StopSignal(), may_build=may_build)


def test_what_the_build_has_left_out_is_said_and_recorded(noted_dir):
    setup = setup_of(noted_dir)
    line = "train: 4,100 videos listed, 4,000 found, 3,990 stored; left out: 100 missing_file, "
    assert f"{line}3 too_few_frames, 7 undecodable" in summary(setup)
    recorded = setup.data.to_dict()
    assert recorded["counts"]["train"]["listed"] == 4100
    assert recorded["dropped"]["train"]["missing_file"] == 100


def test_the_memory_of_the_loader_is_said(noted_dir):
    options = {"data.threads": 3, "data.image_size": (200, 240), "data.short_side": (200, 200)}
    options |= {"data.eval_short_side": 200, "train.global_batch": 400, "eval.spatial_crops": 3}
    setup = setup_of(noted_dir, **options)
    clips, reading = clip_spec(setup.spec), Reading(3, 0)
    sizes = held_bytes(clips, 400, reading), held_bytes(clips, 16, reading, evaluation=True)
    assert setup.data.held_bytes() == sizes
    assert sizes[1] == 8 * 16 * 3 * 4 * 200 * 240 * 3  # batches, videos, crops, frames, …
    said = summary(setup)
    assert f"\nmemory   {sizes[0] / 1e6:,.1f} MB of clips held by the loader on each host" in said
    assert f"at most, and {sizes[1] / 1e6:,.1f} MB more while it is judged" in said
    assert "read from files" not in said


def test_classes_that_tell_left_from_right_are_not_mirrored(noted_dir):
    too_long = {"optimizer.warmup_steps": None, "optimizer.warmup_epochs": 9.0}
    with pytest.raises(ConfigError) as caught:
        setup_of(noted_dir, **{"data.flip": True} | too_long)
    first, second = str(caught.value).splitlines()
    assert first.startswith("data.flip is True, but classes of motions tell left from right")
    assert first.endswith("set data.flip=False.")
    assert second.startswith("optimizer.warmup is 36 steps long")
    # A run that is under way, or judged, has been told.
    setup_of(noted_dir, may_build=False, **{"data.flip": True})


def test_workers_without_room_for_their_batches_are_the_machine_s_matter(noted_dir):
    setup = setup_of(noted_dir, **{"train.global_batch": 10**6, "data.workers": 64})
    with pytest.raises(MachineError, match=r"workers=64 may need .* bytes of shared memory"):
        setup.data.train_batches(setup.train_source, 0)
    setup.data.train_batches(setup.train_source, 0, threads=1).close()
