"""The published models at their own sizes against transformers: numbers once, names of all."""

import functools

import jax
import numpy as np
import pytest

import vidtx
from vidtx.weights import LAYOUTS
from vidtx.weights.match import parameter_shapes

from . import converted, foreign

EXTRA = "pip install 'vidtx[parity]'"
torch = pytest.importorskip("torch", reason=EXTRA)
transformers = pytest.importorskip("transformers", reason=EXTRA)

from . import torch_models  # noqa: E402

pytestmark = pytest.mark.slow

# The suite compiles for a short time, and what that makes runs for a long one.
FULL_SPEED = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
}

BASE = {"dim": 768, "depth": 12, "heads": 12, "patch": 16}
K400 = foreign.Size(**BASE, grid=(8, 14, 14), classes=400)
# Name to scheme, size and number of arrays.
PUBLISHED = {
    "base": ("divided_space_time", K400, 249),
    "joint": ("joint_space_time", K400, 153),
    "space": ("space_only", K400, 152),
    "HR": ("divided_space_time", foreign.Size(**BASE, grid=(16, 28, 28), classes=400), 249),
    "L": ("divided_space_time", foreign.Size(**BASE, grid=(96, 14, 14), classes=400), 249),
    "SSv2 L": ("divided_space_time", foreign.Size(**BASE, grid=(64, 14, 14), classes=174), 249),
}


def test_logits_and_gradients_of_base(tmp_path):
    scheme, size, _ = PUBLISHED["base"]
    clips = foreign.clips(size.grid, size, batch=1)
    d_logits = foreign.logits_gradient(batch=1, classes=size.classes)
    theirs = torch_models.make(scheme, size)
    logits, gradients = torch_models.run(theirs, clips, d_logits)
    del theirs
    d_clips = gradients.pop("clips")
    expected = dict(converted.read(tmp_path / "gradients", scheme, gradients, size).params)
    del gradients

    weights = foreign.weights(foreign.shapes_of(scheme, size))
    source = converted.read(tmp_path / "weights", scheme, weights, size)
    del weights
    model = source.architecture.create()

    @functools.partial(jax.jit, compiler_options=FULL_SPEED)
    def run(tree, x, d_logits):
        logits, backward = jax.vjp(lambda *args: model.apply({"params": args[0]}, args[1]), tree, x)
        return logits, backward(d_logits)

    found, ours = converted.logits_and_gradients(source, clips, d_logits, run)
    converted.assert_near(found, logits, "logits")
    converted.assert_all_near(ours, expected | {"clips": d_clips})


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes(name):
    scheme, size, count = PUBLISHED[name]
    frames, rows, columns = size.grid
    config = transformers.TimesformerConfig(**foreign.config(scheme, size))
    with torch.device("meta"):
        model = transformers.TimesformerForVideoClassification(config)
    theirs = {name: tuple(leaf.shape) for name, leaf in model.state_dict().items()}
    assert len(theirs) == count
    assert theirs == foreign.shapes_of(scheme, size)

    ours = vidtx.create_model(
        "timesformer_b16",
        scheme=foreign.SCHEMES[scheme],
        num_frames=frames,
        image_size=(rows * size.patch, columns * size.patch),
        num_classes=size.classes,
    )
    zeros = {
        name: np.broadcast_to(np.float32(0), leaf.shape)
        for name, leaf in parameter_shapes(ours).items()
    }
    written = LAYOUTS["hf_timesformer"].write(zeros)
    assert {name: leaf.shape for name, leaf in written.items()} == theirs
