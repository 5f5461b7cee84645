"""The picture of a timeline shows what is probable where, and where nothing is known."""

import numpy as np
import pytest
from PIL import Image

from vidtx.reporting.timeline import plot_timeline


def draw(path, **changes):
    starts = np.arange(0.0, 20.0, 2.0)
    probabilities = np.full((10, 4), 0.01)
    probabilities[:5, 2] = 0.97
    probabilities[5:, 0] = 0.97
    red = np.full((90, 160, 3), (250, 10, 10), np.uint8)
    options = {
        "starts": starts,
        "ends": starts + 2.0,
        "probabilities": probabilities,
        "class_names": ["$walking$", "running", "jumping", "a very long name " * 5],
        "seconds": 20.0,
        "title": "clip_$1.mp4",
        "thumbnails": [(start + 1.0, red) for start in starts[::3]],
    }
    plot_timeline(path, **(options | changes))
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def dark_blue(picture):
    """Of each row of pixels, whether it is dark blue in the left and in the right half."""
    dark = (picture[..., 2] > picture[..., 0] + 50) & (picture[..., 0] < 60)
    half = picture.shape[1] // 2
    return dark[:, 60:half].mean(axis=1) > 0.9, dark[:, half : 2 * half - 60].mean(axis=1) > 0.9


def test_classes_are_dark_where_they_are_probable(tmp_path):
    picture = draw(tmp_path / "t.png")
    assert picture.shape[1] == 1600
    left, right = dark_blue(picture)
    assert left.sum() > 40
    assert right.sum() > 40
    # The class that comes first has the row on top.
    assert np.flatnonzero(left).max() < np.flatnonzero(right).min()


def test_thumbnails_stand_below(tmp_path):
    with_them = draw(tmp_path / "t.png")
    red = (with_them[..., 0] > 200) & (with_them[..., 1] < 60)
    assert red.mean() > 0.05
    assert np.flatnonzero(red.any(axis=1)).min() > 0.6 * len(with_them)
    assert len(draw(tmp_path / "u.png", thumbnails=())) < len(with_them)


def test_what_is_not_known_is_hatched(tmp_path):
    whole, cut = (draw(tmp_path / f"{seconds}.png", seconds=seconds, broken_off=seconds > 20)
                  for seconds in (20.0, 40.0))  # fmt: skip
    left, right = dark_blue(cut)
    assert not right.any()
    assert not left[: np.flatnonzero(dark_blue(whole)[1]).min()].all()
    red = (cut[..., 0] > 150) & (cut[..., 1] < 80) & (cut[..., 2] < 80)
    assert red[: len(cut) // 4].any()  # told in words, too


def test_one_window_of_no_length_can_be_drawn(tmp_path):
    picture = draw(
        tmp_path / "t.png", starts=np.zeros(1), ends=np.full(1, 0.03),
        probabilities=np.array([[0.1, 0.2, 0.3, 0.4]]), seconds=0.03,
    )  # fmt: skip
    assert picture.min() < 100


def test_shapes_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one or more windows"):
        draw(tmp_path / "t.png", starts=np.zeros(0), ends=np.zeros(0))
