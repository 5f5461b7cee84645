"""A model asked about videos answers as evaluation judges it, whatever is asked beside."""

import dataclasses
import itertools
import json
import types

import jax
import numpy as np
import pytest

import vidtx
from data_pipelines.clips import EvalClips
from data_pipelines.errors import VideoError
from data_pipelines.folder import FolderDataset
from tests.data_pipelines.conftest import make_frames, write_video  # noqa: F401  fixtures
from tests.inference.asked import CLASS_NAMES, write_weights
from vidtx.config.specs import MeshSpec
from vidtx.errors import CheckpointError, ConfigError
from vidtx.evaluation import make_eval_step
from vidtx.inference import FailedVideo, Prediction, Predictor
from vidtx.sharding import make_mesh


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "run", scale=3.0)


@pytest.fixture(scope="module")
def predictor(weights):
    return Predictor.load(weights, batch=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_frames, write_video):  # noqa: F811
    """A folder data set of videos of all kinds, one of them damaged behind its middle."""
    root = tmp_path_factory.mktemp("folder") / "mine"
    kinds = [
        (31, 30, 44, {}), (5, 40, 30, {}), (1, 36, 36, {}), (24, 36, 64, {"rotation": 90}),
        (40, 33, 51, {"pix_fmt": "yuv444p"}),
        (26, 36, 48, {"codec": "mpeg4", "container": "avi", "options": {"bf": "2"}}),
    ]  # fmt: skip
    for number, (count, height, width, options) in enumerate(kinds):
        place = root / "test" / CLASS_NAMES[number % 5]
        place.mkdir(parents=True, exist_ok=True)
        video = write_video(make_frames(count, height, width, seed=number), **options)
        (place / f"{number}.{options.get('container', 'mp4')}").write_bytes(video)
    return root


@pytest.fixture(scope="module")
def files(folder):
    return sorted(folder.rglob("*.*"))


def evaluated(predictor, folder):
    """Probabilities of each file by the step of an evaluation, fed by its loader's function.

    Judged by one class after another, a video's loss tells the probability of each.
    """
    pre = predictor.preprocessing
    source = FolderDataset(folder.name, folder.parent).open_split("test")
    data = types.SimpleNamespace(
        mean=pre.mean, std=pre.std, channel_order=pre.channel_order, multi_label=pre.multi_label
    )
    spec = types.SimpleNamespace(data=data, eval=types.SimpleNamespace(average=pre.average))
    mesh = make_mesh(MeshSpec(data=1, fsdp=1, sequence=1, tensor=1), jax.devices()[:1])
    step = make_eval_step(spec, predictor.pretrained.model, mesh)
    params = predictor.pretrained.variables["params"]
    seen = {}
    for position in range(len(source)):
        clips = EvalClips(source, pre.clips)(position)
        losses = []
        for label in range(5):
            batch = {
                "video": clips["video"][None],
                "label": np.array([label], np.int32),
                "weight": np.ones(1, np.float32),
                "failed": np.zeros(1, np.int32),
            }
            judged = step(step.start(5), params, batch)
            losses.append(step.conclude(judged, step=0, class_names=CLASS_NAMES).loss)
        seen[source[position]["video_id"]] = np.exp(-np.array(losses))
    return seen


def test_answers_are_those_of_an_evaluation(predictor, folder, files):
    wanted = evaluated(predictor, folder)
    found = list(predictor.predict_all(files))
    assert len(wanted) == len(found) == 6
    for path, answer in zip(files, found, strict=True):
        theirs = wanted[path.relative_to(folder).as_posix()]
        np.testing.assert_allclose(answer.probabilities, theirs, atol=1e-6)
        assert answer.top[0].name == CLASS_NAMES[int(theirs.argmax())]
        assert len(answer.views) == 6
    spread = np.stack([answer.probabilities for answer in found])
    assert spread.std(axis=0).max() > 0.01  # videos do differ


def test_neither_batch_nor_neighbours_change_an_answer(predictor, files):
    together = list(predictor.predict_all(files, threads=3))
    assert [answer.video for answer in together] == list(map(str, files))
    for path, answer in zip(files, together, strict=True):
        np.testing.assert_allclose(
            predictor.predict(path).probabilities, answer.probabilities, atol=1e-6
        )
    other = Predictor(predictor.pretrained, predictor.preprocessing, batch=7)
    again = {answer.video: answer for answer in other.predict_all(reversed(files))}
    for answer in together:
        np.testing.assert_allclose(
            again[answer.video].probabilities, answer.probabilities, atol=1e-5
        )


def test_one_program_serves_all_videos(predictor, files, caplog):
    list(predictor.predict_all(files))
    with jax.log_compiles(), caplog.at_level("WARNING"):
        list(predictor.predict_all(files[::-1]))
        predictor.predict(files[2])
    assert not [line for line in caplog.messages if "Compiling" in line and "_forward" in line]


def test_bad_files_fail_alone(predictor, files, tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video " * 99)
    asked = [tmp_path / "empty.mp4", files[0], tmp_path / "gone.mp4", tmp_path / "text.mp4"]
    found = list(predictor.predict_all(asked))
    assert [getattr(answer, "kind", "ok") for answer in found] == [
        "undecodable", "ok", "missing_file", "undecodable"
    ]  # fmt: skip
    np.testing.assert_allclose(
        found[1].probabilities, predictor.predict(files[0]).probabilities, atol=1e-6
    )
    with pytest.raises(VideoError):
        predictor.predict(tmp_path / "empty.mp4")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, make_frames, write_video):  # noqa: F811
    data = bytearray(write_video(make_frames(90), options={"g": "10", "bf": "0"}))
    middle, index = len(data) // 2, data.rfind(b"moov") - 4
    data[middle:index] = b"\xff" * (index - middle)
    path = tmp_path_factory.mktemp("damaged") / "damaged.mp4"
    path.write_bytes(data)
    return path


def test_what_can_be_read_of_a_damaged_video_is_answered(predictor, damaged):
    answer = predictor.predict(damaged)
    assert not answer.complete
    assert "damaged" in " ".join(answer.notes)
    last = max(view.frames[-1] for view in answer.views)
    assert 10 < last < 80
    timeline = predictor.timeline(damaged)
    assert not timeline.complete
    assert 0 < timeline.ends[-1] < 2.9 < timeline.seconds


def test_a_timeline_answers_for_each_window(predictor, files, tmp_path, make_frames, write_video):  # noqa: F811
    path = tmp_path / "long.mp4"
    # Another sight after two seconds, so that windows differ.
    frames = np.concatenate([make_frames(60, seed=1), 255 - make_frames(60, seed=2)])
    path.write_bytes(write_video(frames))
    heard = []
    timeline = predictor.timeline(path, on_progress=lambda *done: heard.append(done))
    assert timeline.starts[0] == 0
    np.testing.assert_allclose(timeline.ends[-1], 4.0, atol=1e-3)
    np.testing.assert_allclose(np.diff(timeline.starts)[:-1], 6 / 30, atol=1e-4)  # half a clip
    np.testing.assert_allclose(timeline.probabilities.sum(axis=1), 1, atol=1e-5)
    assert heard == sorted(heard)
    assert heard[-1][1] == pytest.approx(4.0, abs=1e-3)
    # Each window as a video of its own, of which evaluation takes the centre of the one clip.
    alone = dataclasses.replace(
        predictor.preprocessing.clips, temporal_views=1, spatial_crops=1, temporal_position="start"
    )
    single = Predictor(
        predictor.pretrained,
        dataclasses.replace(predictor.preprocessing, clips=alone),
        batch=predictor.batch,
    )
    np.testing.assert_allclose(
        single.predict(path).probabilities, timeline.probabilities[0], atol=1e-6
    )
    segments = timeline.segments()
    assert segments[0].start == 0
    assert segments[-1].end == timeline.ends[-1]
    for one, two in itertools.pairwise(segments):
        assert one.end == two.start
        assert one.index != two.index
    json.dumps(timeline.to_dict(), allow_nan=False)
    with pytest.raises(ConfigError, match="window_seconds"):
        predictor.timeline(path, window_seconds=2.0)
    with pytest.raises(ConfigError, match="above 0"):
        predictor.timeline(path, hop_seconds=-1.0)


def test_the_call_from_python(weights, files, tmp_path):
    found = vidtx.predict([files[0], tmp_path / "gone.mp4"], weights, views="1x1", top=2)
    assert [type(answer) for answer in found] == [Prediction, FailedVideo]
    assert [len(found[0].top), len(found[0].views)] == [2, 1]
    for answer in found:
        json.dumps(answer.to_dict(), allow_nan=False)
    (one,) = vidtx.predict(files[0], Predictor.load(weights, views=(1, 1)))
    np.testing.assert_array_equal(one.probabilities, found[0].probabilities)


def test_a_multi_label_model_gives_each_class_a_probability(tmp_path, files):
    predictor = Predictor.load(write_weights(tmp_path / "run", data_multi_label=True), batch=6)
    answer = predictor.predict(files[0])
    logits = predictor.logits(np.stack([trace.clip for trace in _traces(files[0], predictor)]))
    sigmoids = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(answer.probabilities, sigmoids.mean(axis=0), atol=1e-5)
    assert answer.multi_label


def _traces(path, predictor):
    from data_pipelines.video_reader import VideoReader

    with VideoReader(path) as video:
        return video.clips(predictor.preprocessing.clips)


def test_heads_that_nothing_trained_are_refused(tmp_path, weights):
    with pytest.raises(CheckpointError, match="never been trained"):
        Predictor.load(write_weights(tmp_path / "new", head_is_new=True))
    with pytest.raises(CheckpointError, match="never been trained"):
        Predictor.load(weights, num_classes=9)


def test_scores_that_are_no_numbers_are_told(tmp_path, files):
    predictor = Predictor.load(write_weights(tmp_path / "run", scale=float("nan")), batch=6)
    with pytest.raises(CheckpointError, match="no finite"):
        predictor.predict(files[0])
