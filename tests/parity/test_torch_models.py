"""vidtx against transformers and timm as they are installed: every element of every gradient."""

import functools

import numpy as np
import pytest

from . import converted, foreign, make_goldens

EXTRA = "pip install 'vidtx[parity]'"
torch = pytest.importorskip("torch", reason=EXTRA)
pytest.importorskip("transformers", reason=EXTRA)

from . import torch_models  # noqa: E402

CASES = [
    pytest.param(model, case, id=f"{model}-{case}")
    for model in make_goldens.MODELS
    for case in make_goldens.grids_of(model)
]


@functools.cache
def library_model(model):
    if model == "timm_vit":
        pytest.importorskip("timm", reason=EXTRA)
    return torch_models.make(model)


@pytest.mark.parametrize(("model", "case"), CASES)
def test_logits_and_gradients(model, case, tmp_path):
    built = library_model(model)
    clips = foreign.clips(make_goldens.grids_of(model)[case])
    d_logits = foreign.logits_gradient()
    logits, gradients = torch_models.run(built, clips, d_logits)
    d_clips = gradients.pop("clips")
    # Gradients are moved into our layout as the weights are.
    expected = dict(converted.read(tmp_path / "gradients", model, gradients).params)

    arrays = torch_models.saved(built, built.state_dict())
    source = converted.read(tmp_path / "weights", model, arrays)
    found, ours = converted.logits_and_gradients(source, clips, d_logits)
    converted.assert_near(found, logits, "logits")
    converted.assert_all_near(ours, expected | {"clips": d_clips})


@pytest.mark.parametrize("model", make_goldens.MODELS)
def test_the_goldens_are_what_they_make(model):
    library_model(model)
    with np.load(make_goldens.FOLDER / f"{model}.npz") as file:
        golden = dict(file)
    made = make_goldens.make(model)
    assert made.keys() == golden.keys()
    for name, array in made.items():
        bound = 1e-9 * np.abs(array).max()
        np.testing.assert_allclose(golden[name], array, rtol=0, atol=bound, err_msg=name)
