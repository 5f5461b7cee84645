"""One clip of a video and what is looked at in it, from Python."""

import numpy as np
import pytest

from tests.cli import planted
from vidtx.errors import CheckpointError, ConfigError
from vidtx.inference import Predictor
from vidtx.run.attention import attend
from vidtx.run.attention_files import attention_mp4, write_attention
from vidtx.run.attention_question import Question


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """The divided model made by hand."""
    folder = planted.write(tmp_path_factory.mktemp("weights") / "divided", "divided")
    return Predictor.load(folder, batch=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("planted") / "marker.mp4"
    path.write_bytes(planted.video())
    return path


def test_the_clip_is_the_middle_one_unless_told_where(predictor, video):
    middle = attend(predictor, video)
    # 16 frames, of which the clip spans 7: what is left over is 9, of which 4 lie before.
    assert middle.frame_numbers.tolist() == [4, 6, 8, 10]
    np.testing.assert_array_equal(middle.seconds, middle.frame_numbers / planted.FPS)
    assert middle.hottest == (3, 2, 1)  # the brightest patch, now in the last frame
    for at, first in ((0, 0), (0.6, 4), (1.0, 8), (1.9, 9)):  # where the clip has no more room
        clip = attend(predictor, video, at=at)
        assert clip.frame_numbers.tolist() == [first, first + 2, first + 4, first + 6]


def test_the_answer_is_that_of_the_clip_that_is_shown(predictor, video):
    clip = attend(predictor, video, at=1.0)
    logits = predictor.logits(clip.frames[None])[0].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(clip.probabilities, expected, rtol=1e-4)
    assert [score.index for score in clip.top] == list(np.argsort(-expected))
    assert attend(predictor, video, at=0.0).top[0].name == "dark"  # there is no marker yet


def test_what_does_not_end_in_numbers_is_no_answer(predictor, video):
    head = predictor.pretrained.variables["params"]["head"]
    whole, head["bias"] = head["bias"], head["bias"] * np.nan
    try:
        with pytest.raises(CheckpointError, match="no finite numbers"):
            attend(predictor, video)
    finally:
        head["bias"] = whole


def test_the_film_is_the_same_every_time(predictor, video, tmp_path):
    clip = attend(predictor, video, Question("raw", query=(1, 2, 1)), at=1.0)
    (path,) = write_attention(clip, tmp_path / "new" / "maps.MP4")
    assert path.read_bytes() == attention_mp4(clip)
    with pytest.raises(ConfigError, match=r"not as \.gif"):
        write_attention(clip, tmp_path / "maps.gif")
