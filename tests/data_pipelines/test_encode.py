import numpy as np
import pytest

from data_pipelines import encode
from data_pipelines.decoding import decode


def test_intra_pictures_depend_on_their_source_alone(make_frames):
    frames = make_frames(16, 48, 48)
    forwards = decode.decode_all(encode.encode_mp4(frames, fps=16, options=encode.INTRA))
    backwards = decode.decode_all(encode.encode_mp4(frames[::-1], fps=16, options=encode.INTRA))
    np.testing.assert_array_equal(backwards, forwards[::-1])

    order = np.random.default_rng(0).integers(0, 16, 24)
    mixed = decode.decode_all(encode.encode_mp4(frames[order], fps=16, options=encode.INTRA))
    np.testing.assert_array_equal(mixed, forwards[order])


@pytest.mark.parametrize("options", [encode.CANONICAL, encode.INTRA])
def test_decoding_gives_nearly_the_source(make_frames, options):
    # Smooth in space, as 4:2:0 halves the resolution of colour.
    rows, columns = np.mgrid[0:48, 0:64]
    frames = np.stack(
        [np.stack([rows * 4 + t, columns * 3, 0 * rows + 9 * t], -1) for t in range(20)]
    ).astype(np.uint8)
    decoded = decode.decode_all(encode.encode_mp4(frames, fps=25, options=options))
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(float) - frames).mean() < 4


@pytest.mark.parametrize("fps", [16, 25.0, 29.97, 30000 / 1001, 12.5])
def test_rate_and_count_are_kept(make_frames, fps):
    info = decode.probe(encode.encode_mp4(make_frames(13), fps=fps))
    assert info.num_frames == 13
    assert info.fps == pytest.approx(fps, rel=1e-5)
    assert (info.height, info.width, info.rotation) == (48, 64, 0)


@pytest.mark.parametrize("options", [encode.CANONICAL, encode.INTRA])
def test_equal_frames_give_equal_bytes(make_frames, options):
    first, second = (encode.encode_mp4(make_frames(9), fps=16, options=options) for _ in range(2))
    assert first == second


def test_odd_sizes_need_full_colour(make_frames):
    frames = make_frames(3, 37, 51)
    with pytest.raises(ValueError, match="height=37 and width=51 must be even"):
        encode.encode_mp4(frames, fps=16)
    decoded = decode.decode_all(encode.encode_mp4(frames, fps=16, pix_fmt="yuv444p"))
    assert decoded.shape == frames.shape


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
    ],
)
def test_other_arrays_are_refused(frames):
    with pytest.raises(ValueError, match="must be uint8"):
        encode.encode_mp4(frames, fps=16)


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_impossible_rates_are_refused(make_frames, fps):
    with pytest.raises(ValueError, match="fps"):
        encode.encode_mp4(make_frames(2), fps=fps)
