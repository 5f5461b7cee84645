"""What ``run.py`` of an exported folder makes of videos and logits is what vidtx makes of them."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from data_pipelines.clip_spec import ClipSpec
from data_pipelines.sampling import eval_indices, segment_indices
from data_pipelines.video_reader import VideoReader
from tests.data_pipelines.conftest import make_frames, write_video  # noqa: F401  fixtures
from tests.inference.exporting import checkpoint, run_without_vidtx
from vidtx.inference import Predictor, Preprocessing, standalone
from vidtx.inference.export import export
from vidtx.inference.export_texts import preprocessing_in_words

SPEC = ClipSpec(frames=4, stride=3, crop=(16, 24), short_side=(20, 20), eval_short_side=20)
HOW = Preprocessing(clips=SPEC, mean=(0.45,) * 3, std=(0.225,) * 3)


def how_of(**changes):
    """A specification, and what run.py is told of it."""
    spec = dataclasses.replace(SPEC, **changes)
    return spec, preprocessing_in_words(dataclasses.replace(HOW, clips=spec))


@pytest.fixture(scope="session")
def videos(tmp_path_factory, make_frames, write_video):  # noqa: F811
    """Videos of all kinds: turned, of another container and rate, short, with gaps in time."""
    folder = tmp_path_factory.mktemp("videos")
    times = list(range(0, 20, 2)) + list(range(21, 41))
    kinds = {
        "plain.mp4": {},
        "turned.mp4": {"rotation": 90},
        "other.webm": {"codec": "libvpx-vp9", "container": "webm"},
        "b_frames.mp4": {"options": {"bf": "3", "g": "12"}},
        "uneven.mkv": {"container": "matroska", "times": times},
        "uneven_vp8.webm": {"codec": "libvpx", "container": "webm", "times": times},
        "intra.avi": {"codec": "mjpeg", "container": "avi", "pix_fmt": "yuvj420p"},
    }
    for number, (name, options) in enumerate(kinds.items()):
        video = write_video(make_frames(30, 48, 80, seed=number), **options)
        (folder / name).write_bytes(video)
    (folder / "short.mp4").write_bytes(write_video(make_frames(3, 40, 32)))
    (folder / "large.mp4").write_bytes(write_video(make_frames(14, 96, 128)))
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"spatial_crops": 3, "temporal_views": 2},
        {"target_fps": 12.5, "short": "loop", "temporal_position": "cover", "temporal_views": 3},
        {"sampling": "span", "spatial_crops": 3, "temporal_position": "start"},
        {"sampling": "segments"},
        {"crop": (48, 80), "short_side": (48, 48), "eval_short_side": 48},  # pixels as they are
    ],
)
def test_clips_of_a_video(videos, changes):
    spec, how = how_of(**changes)
    for path in videos:
        with VideoReader(path) as video:
            expected = np.stack([trace.clip for trace in video.clips(spec)])
        np.testing.assert_array_equal(standalone.clips_of(path, how), expected, err_msg=path.name)


def test_frames_of_every_length_and_rate():
    for sampling, position, short in itertools.product(
        ("stride", "span"), ("middle", "start", "cover"), ("repeat_last", "loop")
    ):
        for frames, stride, rate, views in ((8, 4, None, 1), (5, 7, 30.0, 3), (1, 2, 10.0, 4)):
            asked = {"frames": frames, "stride": stride, "target_fps": rate, "sampling": sampling}
            spec, how = how_of(
                **asked, temporal_position=position, temporal_views=views, short=short
            )
            for count, fps in itertools.product((1, 2, 7, 31, 32, 33, 250), (24.0, 29.97, 60.0)):
                expected = eval_indices(
                    count, fps, **asked, position=position, views=views, short=short
                )
                found = standalone.frame_numbers(count, fps, how)
                np.testing.assert_array_equal(found, expected, err_msg=f"{spec} {count} {fps}")
    for count in (1, 3, 8, 100):
        _, how = how_of(sampling="segments", frames=8)
        found = standalone.frame_numbers(count, 30.0, how)
        np.testing.assert_array_equal(found[0], segment_indices(count, 8))


@pytest.mark.parametrize("average", ["softmax", "logits"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_one_answer_of_several_views(average, multi_label):
    how = dataclasses.replace(HOW, average=average, multi_label=multi_label)
    logits = np.random.default_rng(0).normal(0, 5, (6, 7)).astype(np.float32)
    found = standalone.average(logits, preprocessing_in_words(how))
    expected = how.probabilities(logits[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_video_asked_about_without_vidtx(videos, tmp_path):
    run = checkpoint(tmp_path / "run")
    folder = tmp_path / "exported"
    manifest = export(run, folder, check=videos[0])
    assert (manifest["reference"]["of"], manifest["reference"]["clips"]) == (videos[0].name, 4)
    text = run_without_vidtx(
        """
        import contextlib, io
        sys.argv = ["run.py", "--json", "--top=2", *sys.argv[1:]]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = load(sys.argv.pop(3)).main()
        print(json.dumps([code, out.getvalue()]))
        """,
        folder,
        videos[1],
    )
    code, out = text
    (answer,) = json.loads(out)
    assert code == 0
    assert answer["input"] == str(videos[1])
    prediction = Predictor.load(run).predict(videos[1], top=2)
    assert [name for name, _ in answer["top"]] == [one.name for one in prediction.top]
    found = [share for _, share in answer["top"]]
    np.testing.assert_allclose(found, [one.probability for one in prediction.top], rtol=1e-4)
