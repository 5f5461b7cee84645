"""Clips of the report stay small, whatever is in them."""

import io

import av
import numpy as np
import pytest

from vidtx.run import report_clips


def decoded(movie):
    with av.open(io.BytesIO(movie)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def test_the_worst_that_there_can_be_is_encoded_small():
    """Noise, of as many frames and pixels as are ever shown, the clip and its attention."""
    noise = np.random.RandomState(0).randint(0, 256, (16, 224, 452, 3), np.uint8)
    movie = report_clips._encoded(noise, 8.0)
    assert len(movie) <= 1 << 16
    assert decoded(movie).shape == noise.shape
    assert len(report_clips._jpeg(noise[0])) <= 1 << 17


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(32, 32, (160, 160)), (224, 224, (224, 224)), (33, 47, (132, 188)), (448, 301, (224, 150))],
)
def test_frames_are_shown_at_a_size_that_can_be_seen_and_encoded(height, width, expected):
    frames = np.random.RandomState(0).randint(0, 256, (2, height, width, 3), np.uint8)
    shown = np.stack(list(report_clips._sized(frames)))
    assert shown.shape[1:3] == expected
    assert decoded(report_clips._encoded(shown, 4.0)).shape == shown.shape


def test_small_frames_are_enlarged_pixel_by_pixel():
    frames = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
    shown = np.stack(list(report_clips._sized(frames)))
    np.testing.assert_array_equal(shown[:, 2::5, 2::5], frames)
