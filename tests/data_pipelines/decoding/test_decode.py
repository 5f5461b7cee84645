import io

import av
import numpy as np
import pytest

from data_pipelines import encode, errors
from data_pipelines.decoding import decode

OPEN_GROUPS = {"x264-params": "keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0:open-gop=1"}

# name: (frames, height, width, how to write them, or encode_mp4's options)
VIDEOS = {
    "x264 defaults": (40, 48, 64, {}),
    "x264 short groups": (40, 48, 64, {"options": {"g": "8"}}),
    "open groups": (40, 48, 64, {"options": OPEN_GROUPS}),
    "matroska": (40, 48, 64, {"container": "matroska", "options": {"g": "8"}}),
    "canonical": (40, 48, 64, encode.CANONICAL),
    "intra": (12, 48, 64, encode.INTRA),
    "avi, mpeg4, B-frames": (
        40,
        48,
        64,
        {"codec": "mpeg4", "container": "avi", "options": {"bf": "2", "g": "8"}},
    ),
    "mp4, mpeg4, B-frames": (40, 48, 64, {"codec": "mpeg4", "options": {"bf": "2", "g": "8"}}),
    "avi, h264": (40, 48, 64, {"container": "avi", "options": {"g": "8"}}),
    "variable rate": (
        40,
        48,
        64,
        {"times": [t + (t > 9) * 5 + t // 7 for t in range(40)], "options": {"g": "8"}},
    ),
    "4:4:4": (24, 48, 64, {"pix_fmt": "yuv444p", "options": {"g": "8"}}),
    "odd sizes": (24, 37, 51, {"pix_fmt": "yuv444p", "options": {"g": "8"}}),
    "rotated": (24, 48, 64, {"rotation": 90, "options": {"g": "8"}}),
    "edit list": (
        40,
        48,
        64,
        {
            "times": range(-10, 30),
            "options": {"g": "8"},
            "avoid_negative_ts": "disabled",
            "use_editlist": "1",
        },
    ),
    "one frame": (1, 48, 64, {}),
    "vp8": (
        40,
        48,
        64,
        {
            "codec": "libvpx",
            "container": "webm",
            "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "5"},
        },
    ),
    "vp9": (24, 48, 64, {"codec": "libvpx-vp9", "container": "webm", "options": {"g": "8"}}),
    "hevc": (
        24,
        48,
        64,
        {
            "codec": "libx265",
            "options": {"x265-params": "keyint=8:min-keyint=8:b-adapt=0:open-gop=1:log-level=none"},
        },
    ),
    "mjpeg": (12, 48, 64, {"codec": "mjpeg", "container": "avi", "pix_fmt": "yuvj420p"}),
    "mjpeg, mov": (12, 48, 64, {"codec": "mjpeg", "container": "mov", "pix_fmt": "yuvj420p"}),
    "prores": (6, 64, 128, {"codec": "prores_ks", "container": "mov", "pix_fmt": "yuv422p10le"}),
    "gif": (12, 48, 64, {"codec": "gif", "container": "gif", "pix_fmt": "rgb8"}),
    "mpeg-ts": (24, 48, 64, {"container": "mpegts", "options": OPEN_GROUPS}),
    "fragments": (
        24,
        48,
        64,
        {"options": {"g": "8"}, "movflags": "frag_keyframe+empty_moov+default_base_moof"},
    ),
    "negative shifts": (24, 48, 64, {"options": {"g": "8"}, "movflags": "negative_cts_offsets"}),
    "10 bits": (24, 48, 64, {"pix_fmt": "yuv420p10le", "options": {"g": "8"}}),
    "gray": (24, 48, 64, {"pix_fmt": "gray", "options": {"g": "8"}}),
    "interlaced": (24, 48, 64, {"options": {"x264-params": "keyint=8:tff=1:bframes=3"}}),
    "gradual refresh": (
        36,
        48,
        64,
        {"options": {"x264-params": "keyint=10:intra-refresh=1:bframes=2"}},
    ),
    "hidden frames": (
        36,
        48,
        64,
        {
            "codec": "libvpx-vp9",
            "container": "webm",
            "options": {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "4"},
        },
    ),
    "av1": (
        24,
        64,
        64,
        {
            "codec": "libsvtav1",
            "options": {"g": "15", "preset": "12", "svtav1-params": "irefresh-type=1"},
        },
    ),
}


@pytest.fixture(scope="module")
def videos(make_frames, write_video):
    made = {}
    for name, (num_frames, height, width, how) in VIDEOS.items():
        frames = make_frames(num_frames, height, width)
        if how is encode.CANONICAL or how is encode.INTRA:
            made[name] = encode.encode_mp4(frames, fps=30, options=how)
        else:
            made[name] = write_video(frames, **how)
    return made


@pytest.mark.parametrize("name", VIDEOS)
def test_selected_frames_are_those_of_full_decoding(videos, name):
    data = videos[name]
    frames = decode.decode_all(data)
    rng = np.random.default_rng(0)
    for indices in (
        [0],
        [len(frames) - 1],
        range(len(frames)),
        *(rng.integers(0, len(frames), count) for count in (1, 2, 3, 8, 8)),
    ):
        chosen = decode.decode_frames(data, indices)
        assert chosen.dtype == np.uint8
        assert chosen.flags.c_contiguous
        np.testing.assert_array_equal(chosen, frames[list(indices)])


@pytest.mark.parametrize("name", VIDEOS)
def test_probe_agrees_with_full_decoding(videos, name):
    info = decode.probe(videos[name])
    assert (info.num_frames, info.height, info.width, 3) == decode.decode_all(videos[name]).shape


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_come_in_the_order_in_which_they_were_written(videos, make_frames, name):
    num_frames, *size = VIDEOS[name][:3]
    source = make_frames(num_frames, *size)
    if name == "rotated":
        source = np.rot90(source, axes=(1, 2))
    frames = decode.decode_all(videos[name])
    if name == "edit list":
        assert len(frames) < num_frames, "the writer was meant to hide the first frames"
        source = source[num_frames - len(frames) :]
    distances = np.abs(frames[:, None].astype(float) - source[None]).mean((2, 3, 4))
    np.testing.assert_array_equal(distances.argmin(1), np.arange(len(source)))


def test_rotation_is_applied_and_reported(videos):
    info = decode.probe(videos["rotated"])
    assert (info.rotation, info.height, info.width) == (90, 64, 48)


def test_rate_is_the_mean_over_the_frames(videos):
    times = VIDEOS["variable rate"][3]["times"]
    expected = 39 / ((times[-1] - times[0]) / 30)
    assert decode.probe(videos["variable rate"]).fps == pytest.approx(expected, rel=1e-3)
    assert decode.probe(videos["canonical"]).fps == 30


@pytest.mark.parametrize("data", [b"", b"no video at all " * 50, bytes(5000)])
@pytest.mark.parametrize("read", [decode.probe, decode.decode_all])
def test_garbage_is_undecodable(data, read):
    with pytest.raises(errors.UndecodableError, match="cannot be opened as video"):
        read(data)


def test_cut_file_without_index_is_undecodable(videos):
    data = videos["canonical"]
    with pytest.raises(errors.UndecodableError):
        decode.decode_frames(data[: len(data) // 2], [0])


def test_truncated_file_lacks_its_last_frames(make_frames, write_video):
    # Matroska needs no index, so what is left of it plays.
    data = write_video(make_frames(40), container="matroska", options={"g": "8"})
    cut = data[: len(data) // 2]
    left = decode.decode_all(cut)
    assert 0 < len(left) < 40
    np.testing.assert_array_equal(left[:5], decode.decode_all(data)[:5])
    with pytest.raises(errors.TooFewFramesError, match="39"):
        decode.decode_frames(cut, [0, 39])


@pytest.mark.parametrize("name", ["canonical", "avi, h264", "one frame"])
def test_frames_beyond_the_end_are_too_few(videos, name):
    with pytest.raises(errors.TooFewFramesError, match="frame 500"):
        decode.decode_frames(videos[name], [500])


def test_strict_refuses_what_is_otherwise_concealed(videos):
    data = bytearray(videos["x264 defaults"])
    start = data.find(b"mdat") + 1500
    for place in range(start, len(data) * 3 // 4, 97):
        data[place] ^= 0x10
    data = bytes(data)
    assert len(decode.decode_all(data))
    with pytest.raises(errors.UndecodableError):
        decode.decode_all(data, strict=True)
    with pytest.raises(errors.UndecodableError):
        decode.decode_frames(data, range(30), strict=True)


def test_sound_without_pictures_has_no_video_stream():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(errors.NoVideoStreamError, match="audio"):
        decode.decode_frames(buffer.getvalue(), [0])


@pytest.mark.parametrize("indices", [[], [-1], [0, -3]])
def test_impossible_frame_numbers_are_a_wrong_call(videos, indices):
    with pytest.raises(ValueError, match="indices"):
        decode.decode_frames(videos["intra"], indices)


def test_every_kind_of_failure_has_a_name_of_its_own():
    kinds = {
        errors.UndecodableError: "undecodable",
        errors.NoVideoStreamError: "no_video_stream",
        errors.TooFewFramesError: "too_few_frames",
        errors.CorruptRecordError: "corrupt_record",
    }
    for error, kind in kinds.items():
        assert error.kind == kind
        assert issubclass(error, errors.VideoError)
        assert issubclass(error, errors.DataError)
