"""Maps over frames: where the light falls."""

import cv2
import numpy as np
import pytest

from vidtx.reporting.attention_pictures import LookedAt, attention_film, attention_sheet
from vidtx.reporting.overlay import colours, normalised, overlay


def frames_of(count, height, width, level=60):
    frames = np.full((count, height, width, 3), level, np.uint8)
    frames[:] += np.arange(count, dtype=np.uint8)[:, None, None, None] * 9  # to be told apart
    return frames


def heat(laid, grey):
    """How much of the map's light is in each pixel, whatever the frame."""
    return laid.astype(np.float64).sum(-1) - 0.5 * 3 * grey


def looked_at(count=4, height=24, width=40, at=(2, 1, 3), **options):
    maps = np.full((count, 3, 5), 0.01, np.float32)
    maps[at] = 0.2
    maps /= maps.sum()
    return LookedAt(
        frames=frames_of(count, height, width),
        maps=maps,
        frame_weights=maps.sum((1, 2)),
        numbers=np.arange(count) * 8,
        seconds=np.arange(count) * 0.5,
        **options,
    )


@pytest.mark.parametrize(("height", "width"), [(24, 40), (240, 400), (27, 41), (48, 400)])
@pytest.mark.parametrize("at", [(0, 0, 0), (2, 1, 3), (3, 2, 4)])
def test_the_light_falls_on_the_patch_that_is_looked_at(height, width, at):
    frames, maps = frames_of(4, height, width), np.zeros((4, 3, 5), np.float32)
    maps[at] = 1
    laid = overlay(frames, maps)
    factor = laid.shape[1] // height
    assert laid.shape == (4, height * factor, width * factor, 3)
    assert laid.dtype == np.uint8
    assert max(laid.shape[1:3]) >= 256 or factor == 1
    light = heat(laid, frames[:, :1, :1, 0])
    frame, y, x = np.unravel_index(light.argmax(), light.shape)
    assert (frame, y * 3 // light.shape[1], x * 5 // light.shape[2]) == at


def test_large_frames_keep_their_size_and_small_ones_grow_by_whole_pixels():
    assert overlay(frames_of(2, 300, 200), np.ones((2, 3, 2))).shape == (2, 300, 200, 3)
    small = frames_of(1, 4, 8)
    small[0, :, 4:] = 200
    laid = overlay(small, np.ones((1, 1, 2)), smallest=16, opacity=0.0)
    np.testing.assert_array_equal(laid, small.repeat(2, 1).repeat(2, 2))


def test_over_the_clip_frames_can_be_compared_and_over_each_frame_places_can():
    maps = np.array([[[1.0, 3.0]], [[2.0, 5.0]]])
    np.testing.assert_allclose(normalised(maps), [[[0, 0.5]], [[0.25, 1]]])
    np.testing.assert_allclose(normalised(maps, normalise="frame"), [[[0, 1]], [[0, 1]]])
    even = np.full((2, 3, 5), 0.1, np.float32)
    even[0, 0, 0] = np.nextafter(np.float32(0.1), np.float32(1))  # by rounding alone
    assert not normalised(even).any()


def test_colours_rise_in_lightness():
    lightness = cv2.cvtColor(colours(np.linspace(0, 1, 64)[None]), cv2.COLOR_RGB2LAB)[0, :, 0]
    assert (np.diff(lightness.astype(int)) >= 0).all()
    assert lightness[0] < 10 < 240 < lightness[-1]


def test_the_patch_that_looks_is_framed():
    frames = frames_of(4, 240, 400)
    plain = overlay(frames, np.ones((4, 3, 5)))
    framed = overlay(frames, np.ones((4, 3, 5)), query=(1, 2, 3))
    changed = (plain != framed).any(-1)
    assert changed.any((1, 2)).tolist() == [False, True, False, False]
    y, x = np.nonzero(changed[1])
    assert 158 <= y.min() <= 161
    assert 238 <= y.max() <= 240
    assert 238 <= x.min() <= 241
    assert 318 <= x.max() <= 321


@pytest.mark.parametrize(
    ("frames", "maps", "options", "says"),
    [
        (np.zeros((2, 4, 4, 3)), np.ones((2, 1, 1)), {}, "uint8"),
        (frames_of(2, 4, 4), np.ones((3, 1, 1)), {}, r"of 2 frames they must be \[2, rows"),
        (frames_of(2, 4, 4), np.full((2, 1, 1), np.nan), {}, "finite"),
        (frames_of(2, 4, 4), np.ones((2, 1, 1)), {"opacity": 2}, "opacity is 2"),
        (frames_of(2, 4, 4), np.ones((2, 1, 1)), {"normalise": "row"}, "'row'"),
    ],
)
def test_what_does_not_belong_together_is_refused(frames, maps, options, says):
    with pytest.raises(ValueError, match=says):
        overlay(frames, maps, **options)


def test_a_film_lasts_as_long_as_the_clip():
    film = attention_film(looked_at())
    assert film.pictures.shape[1] % 2 == film.pictures.shape[2] % 2 == 0
    assert len(film.order) / film.rate == pytest.approx(2.0)
    assert np.bincount(film.order).tolist() == [film.rate // 2] * 4

    uneven = looked_at()
    uneven = LookedAt(**{**vars(uneven), "seconds": np.array([0.0, 0.25, 1.25, 1.5])})
    film = attention_film(uneven)
    assert np.bincount(film.order).tolist() == [film.rate // 4, film.rate, *[film.rate // 4] * 2]


@pytest.mark.parametrize(
    ("seconds", "lasts"),
    [
        (np.arange(4) / 30, 8 * 4 / 30),  # too short to be seen: eight times slower
        (np.arange(4) * 100.0, 400 / 14),  # too long to be waited for
        (np.zeros(4), 4.0),  # a still: its frames have one time
        (np.array([0, 0.5, 0, 0.5]), 2.0),  # a short video, repeated
    ],
)
def test_what_is_too_short_or_too_long_is_played_slower_or_faster(seconds, lasts):
    film = attention_film(LookedAt(**{**vars(looked_at()), "seconds": seconds}))
    assert len(film.order) / film.rate == pytest.approx(lasts, abs=1 / film.rate)
    assert set(film.order) == {0, 1, 2, 3}


def test_long_clips_are_shown_by_some_of_their_frames(tmp_path):
    clip = looked_at(count=50, at=(49, 1, 3))
    short = attention_sheet(looked_at(), tmp_path / "short.png", title="a")
    long = attention_sheet(clip, tmp_path / "long.png", title="a")
    heights = [cv2.imread(str(path)).shape[0] for path in (short, long)]
    assert heights[1] > 3 * heights[0]  # four rows of eight
    film = attention_film(clip)
    assert set(film.order) == set(range(50))
