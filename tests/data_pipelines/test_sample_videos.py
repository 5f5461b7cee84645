"""Sample videos: real files of what they are called, for whoever has none."""

import subprocess
import sys

import numpy as np
import pytest

from data_pipelines.annotations import Request, list_videos
from data_pipelines.decoding.decode import decode_all, probe
from data_pipelines.sample_videos import (
    FPS,
    LABELS,
    PASSAGE_SECONDS,
    draw_video,
    main,
    write_long_video,
    write_videos,
)

SHOWN = 8.0  # levels by which a shape stands out of its background at the least


def centres(frames):
    """Where the shape is in each frame: float [T, 2], row and column in pixels."""
    still = np.median(frames.astype(np.float32), axis=0)
    seen = abs(frames - still).sum(axis=-1)
    seen[seen < SHOWN] = 0
    rows, columns = np.mgrid[: frames.shape[1], : frames.shape[2]]
    weight = seen.sum(axis=(1, 2)) + 1e-6
    return np.stack([(seen * grid).sum(axis=(1, 2)) / weight for grid in (rows, columns)], axis=1)


@pytest.mark.parametrize(
    ("label", "wide"), [("bounce", False), ("fall", False), ("swing", True), ("circle", None)]
)
def test_a_shape_moves_as_its_label_says(label, wide):
    frames = draw_video((7, 1), label, seconds=3.0, size=(96, 128))
    down, across = np.ptp(centres(frames), axis=0)
    if wide is None:
        assert 0.5 < down / across < 2
    else:
        further, less = (across, down) if wide else (down, across)
        assert further > 2 * less


def test_a_folder_of_them_is_a_folder_of_classes(tmp_path):
    paths = write_videos(tmp_path / "mine", labels=("swing", "shake"), per_class=2)
    listing = list_videos("folder", Request(videos=tmp_path / "mine"))
    assert tuple(listing.class_names) == ("shake", "swing")
    for path in paths:
        data = path.read_bytes()
        info = probe(data)
        assert sorted((info.height, info.width)) == [96, 128]
        assert info.fps == FPS
        frames = decode_all(data)
        assert 2 < len(frames) / FPS < 4
        assert abs(frames[0].astype(int) - frames[len(frames) // 2]).max() > SHOWN


def test_the_seed_alone_decides(tmp_path):
    def written(name, seed):
        paths = write_videos(tmp_path / name, labels=("zoom",), per_class=2, seed=seed)
        return [path.read_bytes() for path in paths]

    first, again, other = written("a", 0), written("b", 0), written("c", 1)
    assert first == again
    assert len({*first, *other}) == 4


def test_a_long_video_shows_what_it_says(tmp_path):
    passages = write_long_video(tmp_path / "day.mp4", labels=("swing", "bounce"), passages=3)
    frames = decode_all((tmp_path / "day.mp4").read_bytes())
    assert len(frames) == 3 * PASSAGE_SECONDS * FPS
    assert [passage.start for passage in passages] == [0, 6, 12]
    for passage in passages:
        down, across = np.ptp(
            centres(frames[int(passage.start * FPS) : int(passage.end * FPS)]), axis=0
        )
        assert (across > down) == (passage.label == "swing")


def test_wrong_use_is_told_all_at_once(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "mine"), "--labels=swing,dance", "--per_class=0"])
    told = capsys.readouterr().err
    assert "no 'dance'" in told
    assert "--per_class=0" in told
    assert not (tmp_path / "mine").exists()
    with pytest.raises(ValueError, match="dance"):
        write_videos(tmp_path / "mine", labels=("dance",))
    with pytest.raises(ValueError, match="dance"):
        draw_video((1,), "dance", seconds=1.0, size=(96, 128))


def test_videos_that_are_there_are_left_alone(tmp_path):
    command = [sys.executable, "-m", "data_pipelines.sample_videos", tmp_path, "--per_class=1"]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.stdout.startswith("4 videos of bounce, circle, swing, zoom")
    path = tmp_path / LABELS[0] / f"{LABELS[0]}_001.mp4"
    path.write_text("mine")
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert "there already" in again.stderr
    assert path.read_text() == "mine"
