import errno
import io
import os

import av
import numpy as np
import pytest
from etils import epath

from data_pipelines import errors
from data_pipelines.build import transcode
from data_pipelines.build.settings import Settings
from data_pipelines.build.source import VideoFile
from data_pipelines.decoding.packets import MAX_SIDE


def only(data, settings=Settings()):  # noqa: B008
    """The one record that a video is stored in."""
    (stored,) = transcode.store(data, settings)
    return stored


def flip_bits(data):
    """Damages the middle of a file, where its pictures are."""
    damaged = bytearray(data)
    rng = np.random.default_rng(0)
    for place in rng.integers(len(data) // 3, len(data) // 2, 40):
        damaged[place] ^= 1 << rng.integers(8)
    return bytes(damaged)


def sound_alone():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("storage", ["canonical", "as_is"])
@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("text", errors.UndecodableError, "no media file"),
        ("empty", errors.UndecodableError, "no media file"),
        ("no index", errors.UndecodableError, "was cut"),
        ("bit errors", errors.UndecodableError, "damaged"),
        ("cut within a packet", errors.UndecodableError, "truncated"),
        ("cut between packets", errors.UndecodableError, "truncated"),
        ("cut matroska", errors.UndecodableError, "truncated"),
        ("cut avi", errors.UndecodableError, "truncated"),
        ("sound", errors.NoVideoStreamError, "only .'audio'."),
        ("another size", errors.UndecodableError, "picture size changes"),
    ],
)
def test_broken_videos_are_refused(make_frames, write_video, tmp_path, name, error, words, storage):
    frames = make_frames(40)
    plain = write_video(frames, options={"g": "8"})
    if name.startswith("cut"):
        # With the index in front, so that it is there when the rest is not.
        path = tmp_path / "fast.mp4"
        with (
            av.open(io.BytesIO(plain)) as source,
            av.open(os.fspath(path), "w", options={"movflags": "faststart"}) as output,
        ):
            stream = output.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
        fast = path.read_bytes()
        with av.open(os.fspath(path)) as container:
            middle = list(container.streams.video[0].index_entries)[20].pos
    data = {
        "text": lambda: b"no video at all " * 50,
        "empty": lambda: b"",
        "no index": lambda: plain[: len(plain) // 2],
        "bit errors": lambda: flip_bits(plain),
        "cut within a packet": lambda: fast[: middle + 10],
        "cut between packets": lambda: fast[:middle],
        "cut matroska": lambda: write_video(frames, container="matroska")[:-2000],
        "cut avi": lambda: write_video(frames, container="avi", codec="mpeg4")[:9000],
        "sound": sound_alone,
        "another size": lambda: b"".join(
            write_video(frames[:5, :rows], container="h264") for rows in (48, 32)
        ),
    }[name]()
    with pytest.raises(error, match=words):
        only(data, Settings(storage=storage))


def test_too_large_pictures_are_refused(write_video):
    data = write_video(
        np.zeros((1, 16, MAX_SIDE + 16, 3), np.uint8),
        codec="ffv1",
        container="matroska",
    )
    with pytest.raises(errors.TooLargeError, match=r"16x16400 pixels; at most .* sides of 16384"):
        only(data)


def test_missing_and_forbidden_files_have_kinds_of_their_own(tmp_path):
    with pytest.raises(errors.MissingFileError, match=r"gone\.mp4 is not there"):
        only(tmp_path / "gone.mp4")
    with pytest.raises(errors.UnreadableError, match="cannot be read"):
        only(tmp_path)  # a folder


def test_a_file_that_opens_and_cannot_be_read_is_told(tmp_path):
    (tmp_path / "z.mp4").symlink_to("/proc/self/mem")  # gives EIO
    with pytest.raises(errors.UnreadableError, match=r"z\.mp4 cannot be read \(.+\); mend"):
        only(tmp_path / "z.mp4")
    with pytest.raises(errors.UnreadableError, match=r"z\.mp4 cannot be read"):
        VideoFile(tmp_path / "z.mp4").sha256()


@pytest.mark.parametrize("failing", [3, 10])
def test_reading_that_fails_on_the_way_is_no_end_of_the_file(
    tmp_path, make_frames, write_video, monkeypatch, failing
):
    path = tmp_path / "good.mkv"
    path.write_bytes(write_video(make_frames(40, 240, 320), container="matroska"))
    reads = []

    class Failing(io.FileIO):
        def read(self, size=-1):
            reads.append(size)
            if len(reads) >= failing:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    kind = type(epath.Path(path))
    monkeypatch.setattr(kind, "open", lambda self, mode: Failing(os.fspath(self), mode))
    with pytest.raises(errors.UnreadableError, match=r"good\.mkv .*Input/output error"):
        only(path)
    assert len(reads) >= failing


@pytest.mark.parametrize("lost", [1, 300, 5000])
def test_an_ogg_file_is_whole_only_up_to_its_last_page(make_frames, write_video, lost):
    data = write_video(make_frames(40, 96, 128), codec="libvpx", container="ogg")
    assert only(data).num_frames == 40
    for cut in (data[:-lost], data[: data.rfind(b"OggS", 0, len(data) - lost)]):
        with pytest.raises(errors.UndecodableError, match=r"is truncated or damaged"):
            only(cut)


def test_a_file_cannot_have_others_read_in_its_place(
    make_frames, write_video, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.mp4").write_bytes(write_video(make_frames(3)))
    with pytest.raises(errors.UndecodableError):
        only(b"ffconcat version 1.0\nfile 'other.mp4'\n")
    assert only(tmp_path / "other.mp4").num_frames == 3
