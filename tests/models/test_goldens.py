"""The model, and the reference that made them, against the committed goldens."""

import numpy as np
import pytest

from . import make_goldens, tiny


def stored(scheme):
    with np.load(make_goldens.FOLDER / f"{scheme}.npz") as file:
        return dict(file)


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_the_seeded_weights_are_those_of_the_goldens(scheme):
    assert make_goldens.checksum(tiny.weights(scheme)) == pytest.approx(
        float(stored(scheme)["checksum"]), abs=1e-9
    )


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_the_reference_still_makes_them(scheme):
    golden = stored(scheme)
    made = make_goldens.make(scheme)
    assert made.keys() == golden.keys()
    for name, array in made.items():
        np.testing.assert_allclose(array, golden[name], rtol=1e-9, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_logits(scheme):
    golden = stored(scheme)
    # The other grids have their logits compared below, from the program that has the gradients.
    for grid in set(make_goldens.GRIDS) - set(make_goldens.GRADIENT_GRIDS):
        logits = tiny.forward(tiny.create(scheme))(tiny.weights(scheme), tiny.clips(grid))
        expected = golden[make_goldens.case("logits", grid)]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("grid", make_goldens.GRADIENT_GRIDS, ids=["trained", "odd"])
@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_logits_and_gradients(scheme, grid):
    golden = stored(scheme)
    x = tiny.clips(grid)
    d_logits = tiny.uniform("d_logits", (len(x), tiny.CLASSES), 1.0)
    model = tiny.create(scheme)
    logits, (d_tree, d_clips) = tiny.forward_backward(model)(tiny.weights(scheme), x, d_logits)
    gradients = make_goldens.projections(d_tree | {"clips": d_clips})
    for kind, array in (("logits", logits), ("gradients", gradients)):
        expected = golden[make_goldens.case(kind, grid)]
        np.testing.assert_allclose(array, expected, rtol=0, atol=1e-5, err_msg=kind)
