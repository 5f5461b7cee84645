"""Video files that break off or are damaged, and sound ones that might be taken for such."""

import contextlib
import io
import struct

import av
import pytest

from data_pipelines.clips import ClipSpec
from data_pipelines.errors import VideoError
from data_pipelines.video_reader import VideoReader

SPEC = ClipSpec(
    frames=4, stride=3, crop=(16, 24), short_side=(24, 24), eval_short_side=24,
    temporal_views=3, spatial_crops=3,
)  # fmt: skip


def test_frames_before_damage_are_given_and_the_damage_is_told(tmp_path, make_frames, write_video):
    data = bytearray(write_video(make_frames(60), options={"g": "10", "bf": "0"}))
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\xff" * 2000
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with VideoReader(path) as video:
        readable = video.readable()
        assert 10 < readable < 60 == video.info.num_frames
        seen = []
        with pytest.raises(VideoError, match=rf"{readable} of 60 frames|{readable} can be decoded"):
            seen.extend(video.windows(SPEC, video.along(SPEC, hop_seconds=0.1)))
        assert seen
        assert seen[-1].frame_numbers[-1] < readable
        part = video.clips(SPEC, num_frames=readable)
        assert len(part) == SPEC.views
        assert part[-1].frame_numbers[-1] < readable


def test_a_frame_that_the_decoder_drops_holds_up_no_more_than_its_window(
    tmp_path, make_frames, write_video
):
    data = bytearray(write_video(make_frames(60), options={"g": "10", "bf": "0"}))
    with av.open(io.BytesIO(data)) as container:
        unit = [packet.pos for packet in container.demux(video=0) if packet.size][24] + 4
    assert data[unit] & 31 == 1  # a slice; now the end of a sequence, passed over in silence
    data[unit] = data[unit] & 96 | 10
    (tmp_path / "dropped.mp4").write_bytes(data)
    decoded, held = [], []
    with VideoReader(tmp_path / "dropped.mp4") as video:
        traces = video.windows(SPEC, video.along(SPEC, hop_seconds=0.1), decoded.append)
        with contextlib.suppress(VideoError):  # that the last frame is not there
            held.extend(max(decoded) - max(trace.frame_numbers) for trace in traces)
    assert len(held) > 10
    assert max(held) <= 3


def _remux(path, container, **options):
    with (
        av.open(io.BytesIO(path.read_bytes())) as source,
        av.open(str(path), "w", format=container, options=options) as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)


@pytest.mark.parametrize(("container", "told"), [("mp4", "frames"), ("matroska", " s")])
def test_a_file_that_was_cut_says_so(tmp_path, make_frames, write_video, container, told):
    data = write_video(make_frames(90, 96, 128), container=container)
    path = tmp_path / "cut"
    path.write_bytes(data)
    if container == "mp4":  # its index in front
        _remux(path, "mp4", movflags="faststart")
    data = path.read_bytes()
    with VideoReader(path) as video:
        assert video.cut_off is None
    path.write_bytes(data[: len(data) // 2])
    with VideoReader(path) as video:
        assert told in video.cut_off
        assert 0 < video.info.num_frames < 80


def _trim(data, seconds, skipped):
    """Has the edit list of an MP4 show so many seconds, from a unit of the stream's time on."""
    (unit,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)  # of the whole file
    place = data.index(b"elst") + 12
    return data[:place] + struct.pack(">Ii", round(seconds * unit), skipped) + data[place + 8 :]


@pytest.mark.parametrize("kind", ["trimmed.mp4", "skipped.avi", "slow.mkv", "one.mkv"])
def test_a_sound_file_is_not_taken_for_a_cut_one(tmp_path, make_frames, write_video, kind):
    path = tmp_path / kind
    if kind == "trimmed.mp4":
        path.write_bytes(write_video(make_frames(60), options={"g": "10", "bf": "0"}))
        _remux(path, "mp4", movflags="faststart")
        with av.open(str(path)) as container:
            unit = container.streams.video[0].time_base
        path.write_bytes(_trim(path.read_bytes(), 0.5, round(35 / 30 / unit)))
        count = 15
    elif kind == "skipped.avi":
        options = {"codec": "mjpeg", "container": "avi", "pix_fmt": "yuvj420p"}
        times = [*range(15), *range(15, 60, 3)]
        path.write_bytes(write_video(make_frames(30), times=times, **options))
        count = 30
    else:
        count = 5 if kind == "slow.mkv" else 1
        frames, times = make_frames(count), [150 * number for number in range(count)]
        path.write_bytes(write_video(frames, container="matroska", times=times))
        tag = path.read_bytes().index(b"00:00:")  # the last picture stands for 5 s, as the others
        data = bytearray(path.read_bytes())
        data[tag : tag + 12] = f"00:00:{5 * count:02d}.000".encode()
        path.write_bytes(data)
    with VideoReader(path) as video:
        assert video.info.num_frames == count
        assert video.cut_off is None
    if count > 5:
        data = path.read_bytes()
        sizes = {"trimmed.mp4": len(data) * 3 // 4, "skipped.avi": len(data) // 2}
        path.write_bytes(data[: sizes[kind]])
        with VideoReader(path) as video:
            assert "frames" in video.cut_off
