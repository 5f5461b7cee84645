"""vidtx run on what it reads of other libraries' files, and compared with those libraries.

How near is near enough: ``RELATIVE`` times the largest magnitude of an array. An element that is
the small difference of large terms has no accuracy of its own in float32, on either side.
"""

import flax.traverse_util
import numpy as np

import vidtx.weights
from tests.models import tiny

from . import foreign

RELATIVE = 1e-5


def read(folder, model, arrays, size=foreign.TINY):
    """The source that vidtx makes of arrays by a library's names, through a file of theirs."""
    path = foreign.write(folder, model, arrays, size)
    # A file of timm says nothing of heads.
    options = {"num_heads": size.heads} if model == "timm_vit" else {}
    return vidtx.weights.read_foreign(path, **options)


def tree(source):
    """Its parameters as the nested dict that its model takes."""
    return flax.traverse_util.unflatten_dict(dict(source.params), sep=".")


def logits(source, clips):
    """vidtx's logits ``[B, C]``."""
    return np.asarray(tiny.forward(source.architecture.create())(tree(source), clips))


def logits_and_gradients(source, clips, d_logits, run=None):
    """vidtx's logits ``[B, C]``, and gradients by its dotted names, and of ``clips``.

    ``run`` is in the place of the program that is compiled soon and runs slowly.
    """
    run = run or tiny.forward_backward(source.architecture.create())
    found, (d_tree, d_clips) = run(tree(source), clips, d_logits)
    gradients = flax.traverse_util.flatten_dict(d_tree, sep=".") | {"clips": d_clips}
    return np.asarray(found), {name: np.asarray(leaf) for name, leaf in gradients.items()}


def assert_near(found, expected, name=""):
    """Fails where an element is further away than ``RELATIVE`` of the largest magnitude."""
    assert np.shape(found) == np.shape(expected), name
    bound = RELATIVE * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound, err_msg=name)


def assert_all_near(found, expected):
    """The same of every array of two dicts with the same names."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert_near(found[name], array, name)
