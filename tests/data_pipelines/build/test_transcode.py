import fractions
import io

import av
import cv2
import numpy as np
import pytest

from data_pipelines import encode, errors
from data_pipelines.build import transcode
from data_pipelines.build.settings import Settings
from data_pipelines.decoding import decode, mp4

AS_THEY_ARE = Settings(short_side=None, max_fps=None)


def only(data, settings=AS_THEY_ARE):
    """The one record that a video is stored in."""
    (stored,) = transcode.store(data, settings)
    return stored


def pictures(stored):
    """uint8 [T, height, width, 3], RGB: what a reader of the record sees."""
    if stored.video:
        return decode.decode_all(stored.video)
    frames = [cv2.imdecode(np.frombuffer(one, np.uint8), 1) for one in stored.frames]
    return np.stack(frames)[..., ::-1]


def shown(found, source):
    """Number of the source frame that each frame shows: the one that it is nearest to."""
    found, source = (frames.astype(np.int16) for frames in (found, source))
    return [int(np.abs(source - one).mean((1, 2, 3)).argmin()) for one in found]


def smooth(num_frames=6, height=96, width=128):
    """uint8 [T, height, width, 3] without the fine detail that 4:2:0 and codecs lose."""
    rows, columns = np.mgrid[0:height, 0:width]
    frames = [
        np.stack([rows * 2 + t, columns * 2 - t + 5, 100 + 0 * rows + 9 * t], -1)
        for t in range(num_frames)
    ]
    return np.stack(frames).clip(0, 255).astype(np.uint8)


EVERY_FRAME = {
    "x264": {"options": {"g": "8"}},
    "matroska": {"container": "matroska"},
    "avi, mpeg4, B-frames": {"codec": "mpeg4", "container": "avi", "options": {"bf": "2"}},
    "avi, h264": {"container": "avi"},
    "mp4, mpeg4, B-frames": {"codec": "mpeg4", "options": {"bf": "2", "g": "8"}},
    "vp8 with hidden frames": {
        "codec": "libvpx",
        "container": "webm",
        "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "5"},
    },
    "mpegts": {"container": "mpegts"},
    "4:4:4": {"pix_fmt": "yuv444p", "options": {"g": "8"}},
    "late": {"times": range(15, 35)},
}


@pytest.mark.parametrize("storage", ["canonical", "jpeg"])
@pytest.mark.parametrize("name", EVERY_FRAME)
def test_every_frame_is_stored_once_and_in_order(make_frames, write_video, name, storage):
    frames = make_frames(20)
    data = write_video(frames, **EVERY_FRAME[name])
    stored = only(data, Settings(storage=storage))
    assert (stored.num_frames, stored.height, stored.width) == (20, 48, 64)
    assert stored.fps == 30
    assert (stored.source_start, stored.source_end) == (0, pytest.approx(20 / 30, abs=1e-5))
    assert shown(pictures(stored), decode.decode_all(data)) == list(range(20))
    if storage == "canonical":
        info = decode.probe(stored.video)
        assert (info.num_frames, info.fps, info.rotation) == (20, 30, 0)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_broadcast_rates_stay_what_they_are(make_frames, container):
    buffer = io.BytesIO()
    rate = fractions.Fraction(30000, 1001)
    frames = make_frames(31)
    with av.open(buffer, "w", format=container) as output:  # Matroska rounds to milliseconds
        stream = output.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for picture in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    for max_fps in (None, 30.0, 29.97):
        stored = only(buffer.getvalue(), Settings(max_fps=max_fps))
        assert stored.fps == 30000 / 1001
        assert shown(pictures(stored), frames) == list(range(31))


@pytest.mark.parametrize(
    ("fps", "max_fps", "expected"),
    [
        (60, 30.0, range(0, 24, 2)),
        (50, 30.0, [n * 5 // 3 for n in range(15)]),
        (25, 10.0, [n * 5 // 2 for n in range(10)]),
        (10, 30.0, range(24)),
        (24, 0.5, [0]),
    ],
)
def test_higher_rates_lose_frames_evenly(make_frames, fps, max_fps, expected):
    frames = make_frames(24)
    data = encode.encode_mp4(frames, fps=fps, options=encode.INTRA)
    stored = only(data, Settings(max_fps=max_fps))
    assert stored.fps == min(fps, max_fps)
    assert shown(pictures(stored), frames) == list(expected)


def test_variable_rates_follow_true_times(make_frames, write_video):
    frames = make_frames(6)
    data = write_video(frames, times=[0, 1, 2, 6, 7, 12])
    # Most frames are a thirtieth apart, so that no frame is lost.
    stored = only(data)
    assert stored.fps == 30
    assert shown(pictures(stored), frames) == [0, 1, 2, 2, 2, 2, 3, 4, 4, 4, 4, 4, 5]
    # At 5 a second: at 0, 6 and 12.
    assert shown(pictures(only(data, Settings(max_fps=5.0))), frames) == [0, 3, 5]


@pytest.mark.parametrize("container", ["mp4", "matroska"])  # which rounds to milliseconds
def test_a_jump_of_the_clock_loses_no_frames(make_frames, write_video, container):
    frames = make_frames(30)
    times = [number + 45 * (number >= 20) for number in range(30)]
    stored = only(write_video(frames, container=container, times=times))
    assert (stored.fps, stored.num_frames) == (30, 75)
    assert sorted(set(shown(pictures(stored), frames))) == list(range(30))


def test_a_jump_that_would_leave_nothing_but_copies_is_told(make_frames, write_video):
    times = [number + 9000 * (number >= 20) for number in range(30)]
    data = write_video(make_frames(30), times=times)
    with pytest.raises(errors.UndecodableError, match=r"jump by 300\.033 seconds after frame 19"):
        only(data)
    assert only(data, Settings(max_fps=1.0)).num_frames == 301


def test_hidden_frames_of_edit_lists_are_left_out(make_frames, write_video):
    frames = make_frames(40)
    data = write_video(
        frames,
        times=range(-10, 30),
        options={"g": "8"},
        avoid_negative_ts="disabled",
        use_editlist="1",
    )
    visible = decode.decode_all(data)
    assert len(visible) < 40
    stored = only(data)
    assert shown(pictures(stored), visible) == list(range(len(visible)))


@pytest.mark.parametrize("storage", ["canonical", "jpeg"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied(make_frames, write_video, rotation, storage):
    data = write_video(make_frames(4), rotation=rotation)
    upright = decode.decode_all(data)
    stored = only(data, Settings(storage=storage))
    assert (stored.height, stored.width) == upright.shape[1:3]
    found = pictures(stored)
    assert found.shape == upright.shape
    assert np.abs(found.astype(float) - upright).mean() < 12
    assert shown(found, upright) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((96, 128), 48, (48, 64)),
        ((128, 96), 48, (64, 48)),
        ((96, 128), 256, (96, 128)),
        ((96, 130), 64, (64, 86)),  # 86.7, and even
        ((51, 37), None, (50, 36)),
        ((51, 37), 31, (42, 30)),
        ((1, 8), None, (2, 8)),
    ],
)
def test_sizes(size, short_side, expected):
    assert transcode.stored_size(*size, short_side) == expected
    data = encode.encode_mp4(smooth(2, *size), fps=8, pix_fmt="yuv444p", options=encode.INTRA)
    stored = only(data, Settings(short_side=short_side) if short_side else AS_THEY_ARE)
    assert (stored.height, stored.width) == expected
    assert pictures(stored).shape == (2, *expected, 3)


@pytest.mark.parametrize("storage", ["canonical", "jpeg"])
@pytest.mark.parametrize(
    ("pix_fmt", "codec", "matrix", "color_range"),
    [
        ("yuv420p", "libx264", None, None),
        ("yuv420p", "libx264", 1, None),  # BT.709
        ("yuv420p", "libx264", 1, 2),  # and of full range
        ("yuvj420p", "libx264", None, None),
        ("yuv422p", "libx264", 9, None),  # BT.2020
        ("bgr24", "libx264rgb", None, None),
    ],
)
def test_colors_stay(pix_fmt, codec, matrix, color_range, storage):
    frames = smooth()
    buffer = io.BytesIO()
    names = {1: "ITU709", 9: "BT2020"}
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream(codec, rate=30, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 96, 128, pix_fmt
        if matrix:
            stream.codec_context.colorspace = matrix
        if color_range:
            stream.codec_context.color_range = color_range
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format=pix_fmt, dst_colorspace=names.get(matrix), dst_color_range=color_range
            )
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    data = buffer.getvalue()
    seen = decode.decode_all(data)
    assert np.abs(seen.astype(float) - frames).mean() < 4, "the test's own conversion"
    shrunk = [cv2.resize(one, (64, 48), interpolation=cv2.INTER_AREA) for one in seen]
    found = pictures(only(data, Settings(storage=storage, short_side=48)))
    errors_of = found.astype(float) - np.stack(shrunk)
    assert np.abs(errors_of).mean() < 3.5
    assert np.abs(errors_of.mean((0, 1, 2))).max() < 2.5


def test_stored_video_is_canonical_and_its_bytes_repeat(make_frames, write_video):
    data = write_video(make_frames(40), options={"g": "250"})
    stored = only(data)
    assert only(data) == stored
    with av.open(io.BytesIO(stored.video)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        packets = [packet for packet in container.demux() if packet.size]
        keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
        assert keys == [0, 12, 24, 36]
    with av.open(io.BytesIO(stored.video)) as container:
        container.streams.video[0].codec_context.skip_frame = "NONREF"
        referred = sum(1 for _ in container.decode(video=0))
        assert referred <= 12, "seven of eight frames are to be ones that no other refers to"
    assert mp4.read_index(stored.video), "readers are to find its frames without FFmpeg"
    frames = decode.decode_all(stored.video)
    wanted = [39, 3, 17]
    np.testing.assert_array_equal(decode.decode_frames(stored.video, wanted), frames[wanted])


def test_jpegs_show_the_same_frames_in_other_bytes(make_frames, write_video):
    data = write_video(make_frames(9))
    settings = {"short_side": 36, "max_fps": 15.0}
    fine, coarse = (
        only(data, Settings(storage="jpeg", jpeg_quality=quality, **settings))
        for quality in (95, 30)
    )
    video = only(data, Settings(**settings))
    assert fine.num_frames == len(fine.frames) == video.num_frames == 5
    assert (fine.height, fine.width, fine.fps) == (video.height, video.width, video.fps)
    assert sum(map(len, coarse.frames)) < sum(map(len, fine.frames))
    assert shown(pictures(fine), pictures(video)) == list(range(5))


def test_as_is_keeps_bytes(make_frames, write_video):
    data = write_video(make_frames(12), rotation=90)
    stored = only(data, Settings(storage="as_is"))
    assert stored.video == data
    assert (stored.num_frames, stored.height, stored.width) == (12, 64, 48)
    assert stored.fps == 30


def test_videos_are_cut_into_records(make_frames):
    frames = make_frames(64)
    data = encode.encode_mp4(frames, fps=10, options=encode.INTRA)  # 6.4 seconds
    pieces = list(transcode.store(data, Settings(record_seconds=2.0)))
    assert [piece.num_frames for piece in pieces] == [20, 20, 20]  # 0.4 s are too short
    assert [(piece.source_start, piece.source_end) for piece in pieces] == [(0, 2), (2, 4), (4, 6)]
    for number, piece in enumerate(pieces):
        assert shown(pictures(piece), frames) == list(range(20 * number, 20 * number + 20))
        with av.open(io.BytesIO(piece.video)) as container:
            assert next(container.decode(video=0)).time == 0
    pieces = list(transcode.store(data, Settings(record_seconds=2.5, storage="jpeg")))
    assert [piece.num_frames for piece in pieces] == [25, 25, 14]
    # One that is shorter than all this is kept.
    assert only(encode.encode_mp4(frames[:3], fps=10), Settings(record_seconds=2.0)).num_frames == 3


def test_records_are_yielded_while_the_video_is_read(make_frames):
    signs = []
    data = encode.encode_mp4(make_frames(60), fps=10, options=encode.INTRA)
    pieces = transcode.store(
        data, Settings(record_seconds=1.0), alive=lambda: signs.append("alive")
    )
    next(pieces)
    early = len(signs)
    assert len(list(pieces)) == 5
    assert early < len(signs) / 2
