"""The dense reference's hand-written gradients against central differences of its own logits."""

import numpy as np
import pytest

from . import tiny


@pytest.mark.parametrize("scheme", tiny.SCHEMES)
def test_gradients_are_the_slopes_of_the_logits(scheme):
    tree, x = tiny.float64(tiny.weights(scheme)), tiny.float64(tiny.clips((3, 3, 2), batch=1))
    logits, backward = tiny.reference(scheme, tree, x)
    d_logits = tiny.float64(tiny.uniform("d_logits", logits.shape, 1.0))
    d_tree, d_x = backward(d_logits)
    gradients = tiny.flat(d_tree) | {"clips": d_x}
    leaves = tiny.flat(tree) | {"clips": x}
    assert gradients.keys() == leaves.keys()

    step = 1e-5
    for path, leaf in leaves.items():
        # One random direction a leaf, moved in place: `leaf` is the array inside the tree.
        direction = tiny.float64(tiny.uniform(path, leaf.shape, 1.0)) * leaf.std()
        slopes = []
        for sign in (1, -1):
            leaf += sign * step * direction
            slopes.append((tiny.reference(scheme, tree, x)[0] * d_logits).sum())
            leaf -= sign * step * direction
        slope = (slopes[0] - slopes[1]) / (2 * step)
        np.testing.assert_allclose((gradients[path] * direction).sum(), slope, rtol=1e-6, atol=1e-8)
