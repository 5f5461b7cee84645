"""Folders for transformers, opened by it. Logits and round trips are in `tests/parity`."""

import json

import numpy as np
import pytest

from tests.weights import sources
from vidtx.models.preprocess import normalize
from vidtx.weights.export_huggingface import export_huggingface

EXTRA = "pip install 'vidtx[parity]'"
torch = pytest.importorskip("torch", reason=EXTRA)
transformers = pytest.importorskip("transformers", reason=EXTRA)

MEAN, STD = [0.4, 0.45, 0.5], [0.2, 0.225, 0.25]
CONTRACT = {"data.mean": MEAN, "data.std": STD, "data.stride": 32, "data.eval_short_side": 12}


@pytest.fixture
def folder(tmp_path):
    source = sources.of("divided", (4, 2, 2))
    model = source.architecture.create()
    export_huggingface(tmp_path, model, source.params, CONTRACT)
    return tmp_path


def test_it_keeps_our_key_and_misses_nothing(folder, tmp_path):
    model, info = transformers.TimesformerForVideoClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(info.values()), info
    assert model.dtype == torch.float32
    assert model.config.vidtx == {"contract": CONTRACT}
    model.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["vidtx"] == {"contract": CONTRACT}


def test_its_processors_prepare_frames_as_ours_do(folder):
    torchvision = pytest.importorskip("torchvision", reason=EXTRA, exc_type=Exception)
    assert torchvision
    frames = np.random.RandomState(0).randint(0, 256, (4, 12, 12, 3)).astype(np.uint8)
    expected = normalize(frames[:, 2:10, 2:10], MEAN, STD)
    image_processor = transformers.AutoImageProcessor.from_pretrained(folder)
    found = image_processor(list(frames), return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(found[0].transpose(0, 2, 3, 1), expected, atol=1e-5)
    video_processor = transformers.AutoVideoProcessor.from_pretrained(folder)
    assert type(video_processor).__name__ == "TimesformerVideoProcessor"
    found = video_processor(list(frames), return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(found[0].transpose(0, 2, 3, 1), expected, atol=1e-5)
