"""What is known of weights decides what they are fed; what is not known is told."""

import dataclasses
import json

import numpy as np
import pytest

from tests.inference.asked import CLASS_NAMES, CONTRACT, write_weights
from vidtx.errors import CheckpointError, ConfigError
from vidtx.inference import Predictor, Preprocessing, convert, load_pretrained


def test_everything_recorded_is_taken(tmp_path):
    loaded = load_pretrained(write_weights(tmp_path / "run"))
    found = Preprocessing.of(loaded)
    clips = found.clips
    assert (clips.frames, clips.stride, clips.crop, clips.eval_short_side) == (4, 3, (8, 16), 12)
    assert (clips.temporal_views, clips.spatial_crops, clips.short) == (2, 3, "loop")
    assert (found.mean, found.std) == ((0.4, 0.45, 0.5), (0.2, 0.225, 0.25))
    assert (found.channel_order, found.average, found.multi_label) == ("bgr", "softmax", False)
    assert not found.notes
    again = Preprocessing.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    frames = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    wanted = (frames[..., ::-1] / 255 - np.array(found.mean)) / np.array(found.std)
    np.testing.assert_allclose(found.normalized(frames), wanted, atol=1e-6)


def test_views_may_be_said_otherwise(tmp_path):
    loaded = load_pretrained(write_weights(tmp_path / "run"))
    for views in ("10x1", (10, 1), " 10×1 "):
        clips = Preprocessing.of(loaded, views=views).clips
        assert (clips.temporal_views, clips.spatial_crops) == (10, 1)
    for views in ("10", "0x3", "3x2", "x", (3, 2), "1x3x1"):
        with pytest.raises(ConfigError, match="CLIPSxCROPS"):
            Preprocessing.of(loaded, views=views)


def test_checkpoints_from_before_views_were_recorded_get_the_papers(tmp_path):
    older = dict.fromkeys(name for name in CONTRACT if name.startswith("eval."))
    found = Preprocessing.of(load_pretrained(write_weights(tmp_path / "run", **older)))
    assert (found.clips.temporal_views, found.clips.spatial_crops) == (1, 3)
    assert found.average == "softmax"
    (note,) = found.notes
    assert "one clip and three crops" in note


def test_what_travels_to_hugging_face_and_back_is_the_same(tmp_path):
    square = {"data_image_size": [8, 16]}
    run = write_weights(tmp_path / "run", **square)
    convert(run, tmp_path / "vidtx")
    assert Preprocessing.of(load_pretrained(tmp_path / "vidtx")) == Preprocessing.of(
        load_pretrained(run)
    )


def test_weights_that_say_nothing_of_time_are_fed_as_published(huggingface):
    loaded = load_pretrained(huggingface("divided_space_time"))
    found = Preprocessing.of(loaded)
    assert found.clips.sampling == "span"
    assert found.clips.target_fps == 30.0
    assert found.clips.frames * found.clips.stride == 256
    assert (found.clips.views, found.average) == (3, "logits")
    assert "as the authors test theirs" in " ".join(found.notes)
    other = Preprocessing.of(loaded, stride=4, target_fps=0)
    assert (other.clips.stride, other.clips.target_fps) == (4, None)
    assert not other.notes  # nothing is guessed of time any more
    (note,) = Preprocessing.of(loaded, stride=4).notes
    assert "stride 4 is counted at 30 frames a second. --fps" in note
    found = Preprocessing.of(loaded, target_fps=15)
    assert f"with stride {found.clips.stride}. --stride says" in found.notes[0]


def test_frames_of_segments_are_a_guess_that_can_be_undone(huggingface):
    loaded = load_pretrained(huggingface("divided_space_time"), channel_order="bgr")
    found = Preprocessing.of(loaded)
    assert found.clips.sampling == "segments"
    assert "--stride or --fps takes" in " ".join(found.notes)
    clips = Preprocessing.of(loaded, stride=4).clips
    assert (clips.sampling, clips.stride, clips.target_fps) == ("span", 4, 30.0)
    clips = Preprocessing.of(loaded, target_fps=10, views="5x3").clips
    assert (clips.sampling, clips.target_fps, clips.temporal_views) == ("span", 10, 5)
    with pytest.raises(ConfigError, match="say 1x1, or --stride=N"):
        Preprocessing.of(loaded, views="4x1")


def test_names_of_classes_travel_and_missing_ones_are_told(tmp_path):
    assert Predictor.load(write_weights(tmp_path / "run")).class_names == CLASS_NAMES
    nameless = Predictor.load(write_weights(tmp_path / "nameless", class_names=None))
    assert nameless.class_names[4] == "class 4"
    assert "names of the classes" in " ".join(nameless.notes)
    named = Predictor.load(tmp_path / "nameless", class_names=list("abcde"))
    assert named.class_names == tuple("abcde")
    with pytest.raises(ConfigError, match="4 names"):
        Predictor.load(tmp_path / "nameless", class_names=list("abcd"))


def test_impossible_records_are_told(tmp_path):
    loaded = load_pretrained(write_weights(tmp_path / "run"))
    for name, value in (("eval.average", "mode"), ("data.stride", 0), ("data.sampling", "any")):
        contract = {**loaded.contract, name: value}
        with pytest.raises(CheckpointError, match="impossible"):
            Preprocessing.of(dataclasses.replace(loaded, contract=contract))
    segments = {**loaded.contract, "data.sampling": "segments", "eval.temporal_views": 1}
    segments = dataclasses.replace(loaded, contract=segments)
    assert Preprocessing.of(segments, views="1x1").clips.sampling == "segments"
    with pytest.raises(ConfigError) as raised:
        Preprocessing.of(segments, views="4x1", stride=2)
    assert len(str(raised.value).splitlines()) == 2
    with pytest.raises(CheckpointError, match="cannot be understood"):
        Preprocessing.from_dict({"clips": {"frames": 8, "colour": 3}})
