"""The quick index of plain MP4 files says what FFmpeg says, or nothing."""

import io

import av
import numpy as np
import pytest

from data_pipelines import encode
from data_pipelines.decoding import fragments, mp4
from tests.data_pipelines.decoding.boxes import with_tables

PLAIN = {
    "defaults": {},
    "open groups": {"options": {"x264-params": "keyint=8:min-keyint=3:bframes=3:open-gop=1"}},
    "negative shifts": {"movflags": "negative_cts_offsets"},
    "no edit list": {"use_editlist": "0"},
    "baseline": {"options": {"profile": "baseline", "g": "5"}},
    "variable rate": {"times": [t + (t > 9) * 5 for t in range(24)]},
    "tagged colours": {"options": {"colorspace": "bt709", "color_primaries": "bt709"}},
}
LEFT_TO_FFMPEG = {
    "rotated": {"rotation": 90},
    "fragments": {"movflags": "frag_keyframe+empty_moov"},
    "4:4:4": {"pix_fmt": "yuv444p"},
    "10 bits": {"pix_fmt": "yuv420p10le"},
    "interlaced": {"options": {"x264-params": "tff=1"}},
    "hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "matroska": {"container": "matroska"},
    "hidden frames": {"times": range(-5, 19), "avoid_negative_ts": "disabled"},
    "all keys": {"options": {"g": "1"}},
}


def check_agreement(data, index):
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert (stream.codec_context.height, stream.codec_context.width) == (
            index.height,
            index.width,
        )
        assert stream.codec_context.extradata == index.extradata
        times = np.array([packet.pts for packet in packets])
        np.testing.assert_array_equal(times - times[0], index.times - index.times[0])
        assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == index.keys.tolist()
        for position, packet in enumerate(packets):
            copy = index.packet(data, position)
            assert bytes(copy) == bytes(packet)
            assert copy.is_keyframe == packet.is_keyframe


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files(make_frames, write_video, name):
    data = write_video(make_frames(24), **PLAIN[name])
    index = mp4.read_index(data)
    assert index is not None
    check_agreement(data, index)


def test_packets_in_several_chunks(make_frames, write_video):
    data = write_video(make_frames(24))
    places = mp4.read_index(data).places.tolist()
    # Chunks of 5, 5, 4, 4, 4, 2 packets.
    firsts = [places[n] for n in (0, 5, 10, 14, 18, 22)]
    chunked = with_tables(data, stsc=[0, 3, 1, 5, 1, 3, 4, 1, 6, 2, 1], stco=[0, 6, *firsts])
    index = mp4.read_index(chunked)
    assert index.places.tolist() == places
    check_agreement(chunked, index)
    for wrong in ([0, 1, 1, 5, 1], [0, 2, 2, 5, 1, 3, 4, 1], [0, 1, 1, 5, 2]):
        assert mp4.read_index(with_tables(data, stsc=wrong, stco=[0, 6, *firsts])) is None


def test_what_is_stored_is_plain(make_frames):
    data = encode.encode_mp4(make_frames(24), fps=30)
    index = mp4.read_index(data)
    check_agreement(data, index)
    # Of 7 B-frames between references, a reader that wants none of them passes over all.
    assert sum(index.disposable(data)) >= 18


@pytest.mark.parametrize("name", LEFT_TO_FFMPEG)
def test_what_is_not_plain_is_left_to_ffmpeg(make_frames, write_video, name):
    assert mp4.read_index(write_video(make_frames(24), **LEFT_TO_FFMPEG[name])) is None


def test_damaged_tables_are_left_to_ffmpeg_or_agree_with_it(make_frames):
    data = encode.encode_mp4(make_frames(24), fps=30)
    start, rng, read = data.index(b"moov"), np.random.default_rng(0), 0
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(start, len(data), 2):
            damaged[place] = rng.choice([0, 1, 255, damaged[place] ^ 1 << rng.integers(8)])
        index = mp4.read_index(bytes(damaged))
        if index is not None:
            read += 1
            assert len(index.times) == len(index.sizes) == len(index.places)
            assert (index.places + index.sizes <= len(data)).all()
    assert 0 < read < 300


@pytest.mark.parametrize("size", [0, 1, 8, 2**32 - 1])
def test_claims_of_fragments_are_counted_whatever_their_size_says(make_frames, write_video, size):
    data = bytearray(write_video(make_frames(8), movflags="frag_keyframe+empty_moov"))
    whole = fragments.fragment_packets(bytes(data))
    assert whole == 8
    place = data.index(b"trun")
    data[place + 8 : place + 12] = (10**9).to_bytes(4, "big")
    data[place - 4 : place] = size.to_bytes(4, "big")
    claimed = fragments.fragment_packets(bytes(data))
    assert claimed >= (10**9 if size in (0, 8, 2**32 - 1) else 0)
    assert fragments.fragment_packets(b"trun" + bytes(100)) == 0
