"""The embedded data set: what its classes show, and that only the order of frames tells pairs."""

import collections
import dataclasses
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from data_pipelines import motions
from data_pipelines.decoding.decode import decode_all
from data_pipelines.loader import ClipSpec, eval_batches
from data_pipelines.motions_render import (
    CLASS_NAMES,
    EXPOSURE,
    PAIRS,
    SUBFRAMES,
    draw_scene,
    render,
)
from data_pipelines.records import describe, open_split
from tests import tiny_run

OPPOSITE = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}


def videos(data_dir, split):
    """``{(scene, class): decoded frames}`` of a split."""
    source = open_split(motions.NAME, split, data_dir)
    found = {}
    for index in range(len(source)):
        record = source[index]
        prefix, scene, label = record["video_id"].split("_")
        assert prefix == split
        assert label == CLASS_NAMES[record["label"]]
        found[scene, label] = decode_all(record["video"])
    return found


@pytest.fixture(scope="module")
def decoded_videos(motions_dir):
    return videos(motions_dir, "test")


def test_a_record_says_what_its_video_is(motions_dir):
    record = open_split(motions.NAME, "train", motions_dir)[0]
    frames = decode_all(record["video"])
    assert frames.shape == (record["num_frames"], record["height"], record["width"], 3)
    assert frames.shape == (motions.FRAMES, motions.SIZE, motions.SIZE, 3)
    assert record["fps"] == motions.FPS


def test_every_scene_is_stored_under_both_classes_of_a_pair(decoded_videos):
    for scene, label in decoded_videos:
        assert (scene, OPPOSITE[label]) in decoded_videos
    counts = collections.Counter(label for _, label in decoded_videos)
    assert set(counts) == set(CLASS_NAMES)
    assert len(set(counts.values())) == 1


def test_opposites_are_exact_reversals_after_the_codec(decoded_videos):
    for (scene, label), frames in decoded_videos.items():
        np.testing.assert_array_equal(frames, decoded_videos[scene, OPPOSITE[label]][::-1])
        assert not np.array_equal(frames, frames[::-1])


def test_the_clips_that_are_judged_are_exact_reversals_too(motions_dir):
    spec = ClipSpec(frames=8, stride=2, crop=(32, 32), short_side=(32, 32), eval_short_side=32)
    source = open_split(motions.NAME, "test", motions_dir)
    with eval_batches(source, spec, global_batch=len(source)) as batches:
        batch = next(batches)
    clips = {
        tuple(source[int(index)]["video_id"].split("_")[1:]): video[0]
        for index, video in zip(batch["index"], batch["video"], strict=True)
    }
    for (scene, label), clip in clips.items():
        np.testing.assert_array_equal(clip, clips[scene, OPPOSITE[label]][::-1])


def test_no_frame_is_in_two_splits_or_two_scenes(motions_dir, decoded_videos):
    owners = collections.defaultdict(set)
    splits = {"test": decoded_videos, "train": videos(motions_dir, "train")}
    for split, found in splits.items():
        for (scene, _), frames in found.items():
            for frame in frames:
                owners[hashlib.sha256(frame.tobytes()).digest()].add((split, scene))
    assert all(len(owner) == 1 for owner in owners.values())


def sprite_track(scene):
    """Centre (x, y) and area of the sprite's light in each frame; blur moves neither."""
    light = np.abs(render(scene).astype(float) - scene.background).sum(axis=-1)
    area = light.sum(axis=(1, 2))
    y, x = np.mgrid[: light.shape[1], : light.shape[2]]
    return (light * x).sum(axis=(1, 2)) / area, (light * y).sum(axis=(1, 2)) / area, area


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_motion_is_the_one_that_the_class_names(pair, number):
    x, y, area = sprite_track(draw_scene((7, number), pair, frames=17, size=64))
    if pair == ("left", "right"):
        assert x[-1] < x[0] - 20
        assert np.ptp(y) < 3
    elif pair == ("up", "down"):
        assert y[-1] < y[0] - 20  # rows are counted from the top
        assert np.ptp(x) < 3
    elif pair == ("growing", "shrinking"):
        assert area[-1] > 1.8 * area[0]
    else:
        centre = (x - x.mean()) + 1j * (y - y.mean())
        turned = np.angle(centre[1:] / centre[:-1]).sum()
        assert turned > np.pi  # with y pointing down, positive is clockwise


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_sprite_is_inside_the_picture_from_the_first_exposure_to_the_last(pair):
    for number in range(50):
        x, y, radius, _ = draw_scene((8, number), pair, frames=17, size=32).path.T
        assert min((x - radius).min(), (y - radius).min()) > -1e-9
        assert max((x + radius).max(), (y + radius).max()) < 32 + 1e-9


def sharp(scene, subframe):
    """The picture of one sub-frame: that of a sprite that stays where it was then."""
    still = np.tile(scene.path[subframe], (EXPOSURE * SUBFRAMES + 1, 1))
    return render(dataclasses.replace(scene, path=still))[0]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_frame_is_the_mean_over_an_exposure_centred_on_its_time(pair):
    frames = 9
    scene = draw_scene((9, 0), pair, frames=frames, size=32)
    half = EXPOSURE * SUBFRAMES // 2
    assert len(scene.path) == (frames - 1) * SUBFRAMES + 2 * half + 1
    for frame in (0, frames // 2, frames - 1):
        middle = frame * SUBFRAMES + half
        exposure = range(middle - half, middle + half + 1)
        mean = np.mean([sharp(scene, subframe) for subframe in exposure], axis=0)
        np.testing.assert_array_equal(render(scene)[frame], np.rint(mean))
        assert np.abs(mean - sharp(scene, middle)).max() > 20  # the blur is seen


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_blur_does_not_tell_which_way_the_sprite_moves(pair):
    """A sprite that takes its path backwards leaves the same frames, backwards."""
    scene = draw_scene((10, 0), pair, frames=9, size=32)
    backwards = dataclasses.replace(scene, path=scene.path[::-1])
    np.testing.assert_array_equal(render(backwards), render(scene)[::-1])


def test_scenes_are_a_function_of_their_seed():
    first, again, other = (
        render(draw_scene(seed, PAIRS[0], frames=5, size=32)) for seed in ((1, 2), (1, 2), (1, 3))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_two_builds_are_equal_and_clear_away_what_an_interrupted_one_left(tmp_path, motions_dir):
    leftover = tmp_path / motions.NAME / "incomplete.ABC_2.0.0"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"x")
    assert not motions.is_built(tmp_path)
    reports = []
    motions.build(
        tmp_path, train_scenes=16, test_scenes=8, made=lambda *counts: reports.append(counts)
    )
    assert not leftover.exists()
    assert motions.is_built(tmp_path)
    assert reports[-1] == (48, 48)
    again, before = describe(motions.NAME, tmp_path), describe(motions.NAME, motions_dir)
    assert again.fingerprint == before.fingerprint
    assert again.splits == {"train": 32, "test": 16}


def test_a_finished_build_is_left_alone(motions_dir):
    before = describe(motions.NAME, motions_dir).fingerprint
    motions.build(motions_dir, train_scenes=1, test_scenes=1)
    assert describe(motions.NAME, motions_dir).fingerprint == before


def test_the_command_builds_it_without_tensorflow(tmp_path):
    program = (
        "import sys; from data_pipelines import motions\n"
        "if __name__ == '__main__':\n"
        f"    motions.main(['--out', {str(tmp_path)!r}, '--train_scenes=2', '--test_scenes=2'])\n"
        "    assert 'tensorflow' not in sys.modules and 'jax' not in sys.modules\n"
    )
    script = tmp_path / "script.py"
    script.write_text(program)
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=tiny_run.environment()
    )
    assert result.returncode == 0, result.stderr
    assert "8 of 8 videos made" in result.stdout


def test_builds_in_other_processes_have_the_same_fingerprint(tmp_path):
    """Field order of a record is random in each process; its content is not."""
    for name in ("first", "second"):
        motions.build_in_process(tmp_path / name, train_scenes=4, test_scenes=4)
    first, second = (describe(motions.NAME, tmp_path / name) for name in ("first", "second"))
    assert first.fingerprint == second.fingerprint
    motions.build(tmp_path / "other", train_scenes=8, test_scenes=4)
    assert describe(motions.NAME, tmp_path / "other").fingerprint != first.fingerprint


def test_a_damaged_build_is_told_by_the_command(tmp_path):
    motions.build(tmp_path, train_scenes=4, test_scenes=4)
    (shard,) = (tmp_path / "motions" / str(motions.Motions.VERSION)).glob("motions-train*")
    shard.unlink()
    with pytest.raises(SystemExit, match=r"damaged.*is missing.*delete .*Build it with"):
        motions.main(["--out", str(tmp_path)])
