"""Videos that were cut, joined or muxed in ways that mislead a reader who trusts their tables."""

import fractions
import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import encode, errors
from data_pipelines.decoding import decode
from tests.data_pipelines.decoding.boxes import with_edits

OPEN_HEVC = "keyint=8:min-keyint=4:bframes=4:b-adapt=0:open-gop=1:log-level=none"
CODECS = {
    "defaults": {},
    "short groups": {"options": {"g": "8"}},
    "open groups": {
        "options": {"x264-params": "keyint=10:min-keyint=3:bframes=5:b-adapt=0:open-gop=1"}
    },
    "gradual refresh": {"options": {"x264-params": "keyint=10:intra-refresh=1:bframes=2"}},
    "hevc": {"codec": "libx265", "options": {"x265-params": OPEN_HEVC}},
}


@pytest.fixture(scope="module")
def noisy(make_frames):
    """Pictures with noise, in which every wrong reference shows."""
    rng = np.random.default_rng(0)
    return (make_frames(40) // 2 + rng.integers(0, 90, (40, 48, 64, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def coded(noisy, write_video):
    return {name: write_video(noisy, **how) for name, how in CODECS.items()}


def check_exact(data):
    """Selective decoding is full decoding; returns the frames."""
    frames = decode.decode_all(data)
    rng = np.random.default_rng(len(frames))
    choices = [[0], [len(frames) - 1], range(len(frames))]
    choices += [rng.integers(0, len(frames), count) for count in (1, 1, 1, 2, 3, 8)]
    for indices in choices:
        chosen = decode.decode_frames(data, indices)
        np.testing.assert_array_equal(chosen, frames[list(indices)])
    assert decode.probe(data).num_frames == len(frames)
    return frames


def cut(data, first, container, **options):
    """Copies the packets from one on, as cutting without decoding does."""
    output = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as source,
        av.open(output, "w", format=container, options=options) as sink,
    ):
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if packet.size and number >= first:
                packet.stream = copy
                sink.mux(packet)
    return output.getvalue()


def key_packets(data):
    with av.open(io.BytesIO(data)) as source:
        packets = list(source.demux(source.streams.video[0]))
    return [number for number, packet in enumerate(packets) if packet.size and packet.is_keyframe]


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(
    ("container", "options"), [("matroska", {}), ("mp4", {}), ("mp4", {"use_editlist": "0"})]
)
def test_a_copy_that_begins_at_a_later_key_packet(coded, name, container, options):
    keys = key_packets(coded[name])
    first = keys[1] if len(keys) > 1 else 0
    frames = check_exact(cut(coded[name], first, container, **options))
    assert 0 < len(frames) <= 40 - first + 6


@pytest.mark.parametrize("name", ["open groups", "hevc"])
def test_a_copy_that_begins_in_the_middle_passes_over_what_cannot_be_shown(coded, name):
    whole = decode.decode_all(coded[name])
    frames = check_exact(cut(coded[name], 3, "matroska"))
    assert 20 < len(frames) < 38
    np.testing.assert_array_equal(frames[-10:], whole[-10:])


@pytest.mark.parametrize("name", ["defaults", "short groups", "hevc"])
@pytest.mark.parametrize(
    "pieces",
    [
        [(0, 10), (20, 10)],
        [(0, 20), (13, 20)],
        [(20, 10), (0, 10)],
        [(3, 12), (3, 12)],
        [(11, 7)],
    ],
    ids=["gap", "overlap", "backwards", "twice", "middle"],
)
def test_edit_lists_that_join_pieces(coded, name, pieces):
    frames = check_exact(with_edits(coded[name], pieces))
    assert len(frames) >= 7


def test_key_packets_that_the_index_does_not_mark(coded):
    check_exact(coded["short groups"].replace(b"stss", b"free"))


def two_streams(first, second, flags, container="matroska", codecs=("libx264", "libx264")):
    """Writes a file with two video streams; ``flags`` are the streams' dispositions."""
    output = io.BytesIO()
    with av.open(output, "w", format=container) as sink:
        streams = []
        for pictures, flag, codec in zip((first, second), flags, codecs, strict=True):
            stream = sink.add_stream(codec, rate=30)
            stream.height, stream.width = pictures.shape[1:3]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.time_base = fractions.Fraction(1, 30)
            stream.disposition = flag
            streams.append(stream)
        for stream, pictures in zip(streams, (first, second), strict=True):
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, fractions.Fraction(1, 30)
                sink.mux(stream.encode(frame))
            sink.mux(stream.encode(None))
    return output.getvalue()


@pytest.mark.parametrize("chosen", [0, 1])
def test_of_two_streams_the_default_one_is_read(make_frames, chosen):
    pictures = (make_frames(12, 32, 48), make_frames(12, 64, 96))
    default = av.stream.Disposition.default
    flags = [default if number == chosen else 0 for number in range(2)]
    data = two_streams(*pictures, flags)
    assert check_exact(data).shape == pictures[chosen].shape
    assert decode.probe(data).height == pictures[chosen].shape[1]


def test_an_attached_picture_is_no_video(make_frames):
    cover, none = av.stream.Disposition.attached_pic, 0
    pictures = (make_frames(12, 32, 48), make_frames(1, 96, 128))
    data = two_streams(*pictures, (none, cover), "mp4", ("libx264", "mjpeg"))
    with av.open(io.BytesIO(data)) as container:
        assert [bool(one.disposition & cover) for one in container.streams.video] == [False, True]
    assert check_exact(data).shape == (12, 32, 48, 3)


def random_settings(few):
    """Draws x264 settings and a container."""
    params = st.fixed_dictionaries(
        {
            "keyint": st.integers(1, 20),
            "bframes": st.integers(0, 7),
            "b-adapt": st.sampled_from([0, 1]),
            "b-pyramid": st.sampled_from(["none", "strict", "normal"]),
            "ref": st.integers(1, 5),
            "open-gop": st.sampled_from([0, 1]),
            "scenecut": st.sampled_from([0, 40]),
            "weightp": st.sampled_from([0, 2]),
            "slices": st.sampled_from([1, 3]),
            "cabac": st.sampled_from([0, 1]),
        }
    )
    containers = ["mp4", "matroska"] if few else ["mp4", "matroska", "mov", "avi", "mpegts"]
    return st.tuples(params, st.sampled_from(containers), st.integers(2, 24))


def check_random(write_video, noisy, drawn):
    params, container, count = drawn
    text = ":".join(f"{key}={value}" for key, value in params.items())
    check_exact(
        write_video(
            noisy[:count],
            container=container,
            options={"x264-params": text, "preset": "ultrafast"},
        )
    )


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(drawn=random_settings(few=True))
def test_random_encoder_settings(write_video, noisy, drawn):
    check_random(write_video, noisy, drawn)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, database=None)
@given(drawn=random_settings(few=False))
def test_many_random_encoder_settings(write_video, noisy, drawn):
    check_random(write_video, noisy, drawn)


def test_pictures_that_change_their_size_are_refused(make_frames, write_video):
    small, large = make_frames(8), make_frames(8, 64, 96)
    # A raw stream may begin anew at any key frame, with another size.
    data = b"".join(write_video(frames, container="h264") for frames in (small, large))
    with pytest.raises(errors.UndecodableError, match="size changes in the stream, from 48x64"):
        decode.decode_all(data)
    np.testing.assert_array_equal(decode.decode_frames(data, [3]).shape, (1, 48, 64, 3))


@pytest.mark.parametrize("options", [encode.CANONICAL, encode.INTRA, {}])
def test_colours_that_the_file_tells_are_used(noisy, write_video, options):
    """A quick reader of the index and FFmpeg's have to agree on them."""
    data = write_video(noisy[:6], options=dict(options) | {"g": "3"}, movflags="write_colr")
    tagged = write_video(
        noisy[:6], options=dict(options) | {"g": "3", "colorspace": "bt709", "color_range": "pc"}
    )
    for one in (data, tagged):
        check_exact(one)
    assert (decode.decode_all(data) != decode.decode_all(tagged)).any()
