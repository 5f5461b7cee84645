"""Damaged and hostile files: frames or a typed error, within bounds, whatever the bytes."""

import io
import os
import struct
import subprocess
import sys
import textwrap

import av
import numpy as np
import pytest

from data_pipelines import encode, errors
from data_pipelines.decoding import decode, found, packets
from tests.data_pipelines.decoding.boxes import with_tables

FILES = {
    "canonical": None,
    "open groups": {"options": {"x264-params": "keyint=6:bframes=3:open-gop=1"}},
    "fragments": {"movflags": "frag_keyframe+empty_moov", "options": {"g": "6"}},
    "matroska": {"container": "matroska"},
    "hevc": {"codec": "libx265", "options": {"x265-params": "keyint=6:log-level=none"}},
    "vp9": {"codec": "libvpx-vp9", "container": "webm", "options": {"cpu-used": "8"}},
    "avi": {"codec": "mpeg4", "container": "avi", "options": {"bf": "2"}},
    "mpeg-ts": {"container": "mpegts"},
    "mjpeg": {"codec": "mjpeg", "container": "mov", "pix_fmt": "yuvj420p"},
    "gif": {"codec": "gif", "container": "gif", "pix_fmt": "rgb8"},
}
WORDS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\0\xff\xff\xff")


@pytest.fixture(scope="module")
def files(make_frames, write_video):
    frames = make_frames(12)
    return {
        name: encode.encode_mp4(frames, fps=30) if how is None else write_video(frames, **how)
        for name, how in FILES.items()
    }


def check_answer(data):
    """Every reader gives frames or a typed error; returns whether there were frames."""
    answers = []
    for read in (
        lambda: decode.decode_frames(data, [0, 5, 3]),
        lambda: decode.decode_frames(data, [4], strict=True),
        lambda: decode.decode_all(data),
        lambda: decode.probe(data),
    ):
        try:
            answer = read()
        except errors.VideoError:
            answers.append(False)
        else:
            answers.append(True)
            if isinstance(answer, np.ndarray):
                assert answer.dtype == np.uint8
                assert answer.ndim == 4
                assert len(answer)
    return any(answers)


def damaged(data, rng, kind):
    """Returns a copy that is cut, has bits flipped, or extreme numbers in its tables."""
    copy = bytearray(data)
    tables = max(0, data.find(b"moov"))
    if kind == "cut":
        del copy[rng.integers(len(copy)) :]
    elif kind == "flipped":
        for place in rng.integers(0, len(copy), rng.integers(1, 5)):
            copy[place] ^= 1 << rng.integers(8)
    else:
        place = tables + rng.integers(0, min(1200, len(copy) - tables - 4))
        copy[place : place + 4] = WORDS[rng.integers(4)]
    return bytes(copy)


@pytest.mark.parametrize("kind", ["cut", "flipped", "extreme"])
@pytest.mark.parametrize("name", FILES)
def test_damage_gives_frames_or_a_typed_error(files, name, kind):
    rng = np.random.default_rng(len(name))
    for _ in range(15):
        check_answer(damaged(files[name], rng, kind))
    assert check_answer(files[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_cut_and_a_flip_at_many_offsets(files, name):
    """At each of the tables' bytes, and at 500 in between."""
    data = files[name]
    tables = range(data.find(b"moov"), len(data)) if b"moov" in data else range(400)
    for place in sorted({*tables, *range(0, len(data), -(-len(data) // 500))}):
        check_answer(data[:place])
        check_answer(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])


def test_the_same_damage_gives_the_same_answer(files):
    rng = np.random.default_rng(3)
    for _ in range(10):
        data = damaged(files["canonical"], rng, "flipped")
        answers = []
        for _ in range(2):
            try:
                answers.append(decode.decode_frames(data, [0, 7, 11]).tobytes())
            except errors.VideoError as error:
                answers.append(str(error))
        assert answers[0] == answers[1]


def test_nothing_is_printed_about_damage(files, tmp_path):
    path = tmp_path / "damaged.mp4"
    copy = bytearray(files["open groups"])
    start = copy.index(b"mdat") + 700
    for place in range(start, start + 600, 31):
        copy[place] ^= 0x10
    path.write_bytes(copy)
    result = run(
        f"""
        from data_pipelines import errors
        from data_pipelines.decoding import decode
        data = open({os.fspath(path)!r}, "rb").read()
        for read in (decode.decode_all, decode.probe, lambda data: decode.decode_frames(data, [9])):
            try:
                read(data)
            except errors.VideoError:
                pass
        """
    )
    assert (result.stdout, result.stderr) == ("", "")


def run(program):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result


def black(height, width, told=None):
    """One black PNG as a film; ``told`` is the (height, width) that the container tells instead."""
    frame = av.VideoFrame(width, height, "gray")
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    output = io.BytesIO()
    with av.open(output, "w", format="mov") as sink:
        stream = sink.add_stream("png", rate=30, options={"compression_level": "1"})
        stream.height, stream.width, stream.pix_fmt = height, width, "gray"
        sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    data = output.getvalue()
    if told is not None:
        size = struct.pack(">HH", width, height)
        assert size in data
        data = data.replace(size, struct.pack(">HH", *told[::-1]))
    return data


def test_too_large_pictures_are_named():
    data = black(8, packets.MAX_SIDE + 8)
    for read in (decode.probe, decode.decode_all, lambda data: decode.decode_frames(data, [0])):
        with pytest.raises(errors.UndecodableError, match=r"8x16392 pixels; at most .* 16384"):
            read(data)


@pytest.mark.parametrize("told", [None, (64, 64)])
def test_too_large_pictures_take_no_memory(tmp_path, told):
    """Gray, 8200 by 8200: 67 MB if only one is made, 270 with its RGB."""
    path = tmp_path / "large.mov"
    path.write_bytes(black(8200, 8200, told))
    result = run(
        f"""
        import resource
        from data_pipelines import errors
        from data_pipelines.decoding import decode
        data = open({os.fspath(path)!r}, "rb").read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for read in (decode.probe, decode.decode_all, lambda data: decode.decode_frames(data, [0])):
            try:
                read(data)
            except errors.UndecodableError:
                continue
            raise AssertionError("it was decoded")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """
    )
    assert int(result.stdout) < 40_000  # kilobytes


def test_more_pictures_than_the_memory_holds_are_named(monkeypatch, make_frames):
    data = encode.encode_mp4(make_frames(12), fps=30)
    monkeypatch.setattr(found, "MAX_BYTES", 10 * 48 * 64 * 3)
    assert len(decode.decode_frames(data, range(10))) == 10
    message = "11 pictures of 48x64 pixels take 101376 bytes; at most 92160"
    with pytest.raises(errors.UndecodableError, match=message):
        decode.decode_frames(data, range(11))
    with pytest.raises(errors.UndecodableError, match=message):
        decode.decode_all(data)


def test_more_packets_than_the_bound_are_named(monkeypatch, make_frames, write_video):
    monkeypatch.setattr(packets, "MAX_PACKETS", 10)
    data = write_video(make_frames(12), container="matroska")
    for read in (decode.probe, decode.decode_all, lambda data: decode.decode_frames(data, [0])):
        with pytest.raises(errors.UndecodableError, match="has 11 packets or more"):
            read(data)


def test_packets_that_are_all_the_same_bytes_are_refused(make_frames, write_video):
    """Tables of a few bytes a packet can let each of them be the whole file."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 128, 128, 3), np.uint8)
    data = write_video(noise, options={"qp": "0", "g": "4"})
    count, size = 40, data.index(b"moov") - 60
    repeated = with_tables(
        data,
        stts=[0, 1, count, 512],
        stsz=[0, 0, count, *[size] * count],
        stsc=[0, 1, 1, 1, 1],
        stco=[0, count, *[48] * count],
    )
    with pytest.raises(errors.UndecodableError, match=r"packets or more, of .* bytes are read"):
        decode.decode_frames(repeated, [1])
    with pytest.raises(errors.UndecodableError, match=r"packets or more, of .* bytes are read"):
        decode.probe(repeated)


def test_a_playlist_opens_no_other_file(tmp_path, monkeypatch, make_frames):
    (tmp_path / "other.mp4").write_bytes(encode.encode_mp4(make_frames(4), fps=30))
    monkeypatch.chdir(tmp_path)
    for text in (
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mp4\n#EXT-X-ENDLIST\n",
    ):
        with pytest.raises(errors.UndecodableError):
            decode.decode_all(text.encode())


def test_a_huge_claimed_duration_changes_nothing(make_frames, write_video):
    data = bytearray(write_video(make_frames(12)))
    frames = decode.decode_all(bytes(data))
    for box, place in ((b"mvhd", 20), (b"mdhd", 20), (b"elst", 12)):
        start = data.index(box)
        data[start + place : start + place + 4] = b"\x7f\xff\xff\xff"
    np.testing.assert_array_equal(decode.decode_all(bytes(data)), frames)
    np.testing.assert_array_equal(decode.decode_frames(bytes(data), [3, 9]), frames[[3, 9]])


@pytest.mark.slow
def test_files_and_memory_are_given_back(files, tmp_path):
    for number, data in enumerate(files.values()):
        (tmp_path / f"{number}.video").write_bytes(data)
    result = run(
        f"""
        import os, pathlib, resource
        from data_pipelines import errors
        from data_pipelines.decoding import decode
        files = [path.read_bytes() for path in pathlib.Path({os.fspath(tmp_path)!r}).iterdir()]
        def once():
            for data in files:
                for part in (data, data[: len(data) // 2]):
                    for read in (decode.probe, lambda data: decode.decode_frames(data, [1, 7])):
                        try:
                            read(part)
                        except errors.VideoError:
                            pass
        for _ in range(20):
            once()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        for _ in range(100):
            once()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        if descriptors:
            assert len(os.listdir("/proc/self/fd")) == descriptors
        """
    )
    assert int(result.stdout) < 15_000  # kilobytes, over 4,000 openings
