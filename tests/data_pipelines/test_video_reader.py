"""A file of any length as clips: bit for bit those of an evaluation, in little memory."""

import json
import pathlib
import subprocess
import sys

import av
import numpy as np
import pytest

from data_pipelines.clips import ClipSpec, EvalClips
from data_pipelines.decoding.decode import decode_all, probe
from data_pipelines.errors import (
    MissingFileError,
    NoVideoStreamError,
    UndecodableError,
    UnreadableError,
)
from data_pipelines.video_reader import VideoReader

SPECS = {
    "views": ClipSpec(
        frames=4, stride=3, crop=(16, 24), short_side=(24, 24), eval_short_side=24,
        temporal_views=3, spatial_crops=3,
    ),
    "cover": ClipSpec(
        frames=4, stride=2, crop=(20, 20), short_side=(20, 20), eval_short_side=22,
        sampling="span", temporal_position="cover", temporal_views=4, short="loop",
    ),
    "segments": ClipSpec(
        frames=8, crop=(16, 16), short_side=(16, 16), eval_short_side=16, sampling="segments",
        spatial_crops=3,
    ),
}  # fmt: skip

FILES = {
    "plain": (30, 48, 64, {}),
    "rotated": (30, 48, 64, {"rotation": 90}),
    "upright": (30, 64, 40, {}),
    "odd": (13, 51, 63, {"pix_fmt": "yuv444p"}),
    "short": (3, 48, 64, {}),
    "still": (1, 48, 64, {}),
    "b_frames": (30, 48, 64, {"options": {"bf": "3", "g": "12"}}),
    "open_groups": (40, 48, 64, {"options": {"x264-params": "open-gop=1:bframes=3:keyint=8"}}),
    "avi": (30, 48, 64, {"codec": "mpeg4", "container": "avi", "options": {"bf": "2"}}),
    "webm": (30, 48, 64, {"codec": "libvpx-vp9", "container": "webm"}),
    "vp8": (20, 48, 64, {"codec": "libvpx", "container": "webm"}),
    "fragments": (20, 48, 64, {"movflags": "frag_keyframe+empty_moov"}),
    "uneven_times": (20, 48, 64, {"times": [t * t // 4 + t for t in range(20)]}),
}


class OneFile:
    """One video file as the split that an evaluation reads."""

    class_names = ("any",)

    def __init__(self, path):
        self._path = path

    def __len__(self):
        return 1

    def __getitem__(self, index):
        data = pathlib.Path(self._path).read_bytes()
        info = probe(data)
        about = {name: getattr(info, name) for name in ("num_frames", "height", "width", "fps")}
        return {"video": data, "video_id": "one", "label": 0, **about}


@pytest.fixture(scope="module")
def files(tmp_path_factory, make_frames, write_video):
    folder = tmp_path_factory.mktemp("files")
    for name, (count, height, width, options) in FILES.items():
        suffix = options.get("container", "mp4")
        data = write_video(make_frames(count, height, width), **options)
        (folder / f"{name}.{suffix}").write_bytes(data)
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize("name", FILES)
def test_views_are_those_of_an_evaluation(files, name):
    path = files[name]
    with VideoReader(path) as video:
        assert video.info == probe(path.read_bytes())
        for spec in SPECS.values():
            wanted = EvalClips(OneFile(path), spec).explain(0)
            found = video.clips(spec)
            assert len(found) == len(wanted)
            for ours, theirs in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(ours.clip, theirs.clip)
                np.testing.assert_array_equal(ours.frame_numbers, theirs.frame_numbers)
                np.testing.assert_array_equal(ours.times, theirs.times)
                assert (ours.window, ours.short_side) == (theirs.window, theirs.short_side)
        kept = video.clips(SPECS["views"], keep_frames=True)
        for ours, theirs in zip(
            kept, EvalClips(OneFile(path), SPECS["views"]).explain(0), strict=True
        ):
            np.testing.assert_array_equal(ours.frames, theirs.frames)


@pytest.mark.parametrize("name", ["plain", "rotated", "short", "open_groups", "avi", "webm"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_windows_show_the_frames_they_say(files, name, spec):
    path = files[name]
    pictures = decode_all(path.read_bytes())
    with VideoReader(path) as video:
        planned = video.along(spec, hop_seconds=0.1, length=0.5)
        traces = list(video.windows(spec, planned))
        assert planned.starts[0] == 0
        assert planned.ends[-1] == video.info.num_frames
        assert (planned.starts[1:] <= planned.ends[:-1]).all()  # nothing is left out
        assert len(traces) == len(planned)
        top, left, height, width = traces[0].window
        for trace, numbers in zip(traces, planned.numbers, strict=True):
            np.testing.assert_array_equal(trace.frame_numbers, numbers)
            shown = pictures[numbers][:, top : top + height, left : left + width]
            if (height, width) == spec.crop:
                np.testing.assert_array_equal(trace.clip, shown)
            # At any size, the same colours on the whole.
            np.testing.assert_allclose(trace.clip.mean((1, 2)), shown.mean((1, 2)), atol=12)


def test_one_window_of_a_long_video_is_one_clip_of_it(files):
    spec = ClipSpec(frames=4, stride=3, crop=(24, 24), short_side=(24, 24), eval_short_side=24)
    with VideoReader(files["plain"]) as video:
        (clip,) = video.clips(spec)
        at = clip.frame_numbers[0] / video.info.fps
        planned = video.along(spec, hop_seconds=at)
        traces = list(video.windows(spec, planned))
        np.testing.assert_array_equal(traces[1].clip, clip.clip)


def test_seconds_are_the_files_own(files):
    with VideoReader(files["uneven_times"]) as video:
        wanted = np.array([t * t // 4 + t for t in range(20)]) / 30
        np.testing.assert_allclose(video.seconds(np.arange(20)), wanted, atol=1e-6)


def test_seconds_are_the_files_own_where_packets_do_not_number_frames(
    tmp_path, make_frames, write_video
):
    times = [*range(10), *range(12, 42, 3)]
    vp8 = write_video(make_frames(20), codec="libvpx", container="webm", times=times)
    (tmp_path / "vp8.webm").write_bytes(vp8)
    with VideoReader(tmp_path / "vp8.webm") as video:
        assert video.info == probe(vp8)  # its rate is an evaluation's
        found = video.seconds(np.arange(20).reshape(4, 5))
        np.testing.assert_allclose(found.reshape(-1), np.array(times) / 30, atol=2e-3)


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", UndecodableError, "empty"),
        (b"no video at all\n" * 50, UndecodableError, "no media file"),
        (None, MissingFileError, "there is no file"),
        ("folder", UnreadableError, "is no file"),
    ],
)
def test_what_is_no_video_is_told(tmp_path, content, error, says):
    path = tmp_path / "clip.mp4"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=says):
        VideoReader(path)


def test_audio_alone_is_told(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(NoVideoStreamError):
        VideoReader(path)


_PEAK = """
import json, sys
from data_pipelines.clips import ClipSpec
from data_pipelines.video_reader import VideoReader

spec = ClipSpec(frames=4, stride=8, crop=(64, 64), short_side=(64, 64), eval_short_side=64,
                temporal_views=10, spatial_crops=3)
with VideoReader(sys.argv[1]) as video:
    windows = sum(1 for _ in video.windows(spec, video.along(spec)))
    video.clips(spec)
    # Not getrusage, in which what the process was before it became Python counts too.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(json.dumps([video.info.num_frames, windows, int(status["VmHWM"].split()[0])]))
"""


@pytest.mark.parametrize("container", ["mov", "avi"])
def test_memory_does_not_grow_with_the_video(tmp_path, write_video, container):
    """Measured in a process of its own each, of files of 1 and of 40 MB."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 384, 384, 3), np.uint8)
    codec = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "container": container}
    peaks = []
    for name, count in (("short", 40), ("long", 1600)):
        path = tmp_path / name
        path.write_bytes(write_video(np.broadcast_to(noise, (count, *noise.shape[1:])), **codec))
        command = [sys.executable, "-c", _PEAK, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        frames, windows, peak = json.loads(done.stdout)
        assert frames == count
        assert windows >= count // 16 - 2
        peaks.append((path.stat().st_size, peak * 1024))
    (small, low), (large, high) = peaks
    assert large - small > 30e6
    assert high - low < 0.25 * (large - small)
