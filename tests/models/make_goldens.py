"""Writes the goldens that `test_goldens.py` compares the model with.

    python -m tests.models.make_goldens

Outputs come from the dense float64 NumPy reference (`dense_reference.py`): JAX has no part in them.
Weights and clips are not stored but made again from their names (`tiny.py`), so the files hold
logits, and, for two grids a scheme, one number for every parameter and the clips: the product of
its gradient with a seeded direction. Write them anew only when the reference or the seeded weights
change on purpose, and say why in the commit.
"""

import pathlib

import numpy as np

from . import tiny

FOLDER = pathlib.Path(__file__).parent / "goldens"
# Token grids (T, H, W): more frames and rows than trained; and, with gradients, the trained one
# and one that is odd throughout.
GRADIENT_GRIDS = (tiny.GRID, (3, 5, 3))
GRIDS = ((6, 4, 3), *GRADIENT_GRIDS)


def case(kind, grid):
    """Name in the file of a grid's ``logits`` or ``gradients``."""
    return "{}_{}x{}x{}".format(kind, *grid)


def direction(path, shape):
    """The direction along which the gradient at ``path`` is kept."""
    return tiny.float64(tiny.uniform(f"direction/{path}", shape, 1.0))


def projections(gradients):
    """One number for each array, in order of path: gradient times direction."""
    leaves = tiny.flat(gradients)
    return np.array([(leaves[p] * direction(p, leaves[p].shape)).sum() for p in sorted(leaves)])


def checksum(tree):
    """Sum of all weights, to tell other weights from another model."""
    return sum(float(leaf.astype(np.float64).sum()) for leaf in tiny.flat(tree).values())


def make(scheme):
    """All golden arrays of one scheme."""
    tree = tiny.weights(scheme)
    arrays = {"checksum": np.float64(checksum(tree))}
    for grid in GRIDS:
        logits, backward = tiny.reference(scheme, tree, tiny.clips(grid))
        arrays[case("logits", grid)] = logits
        if grid in GRADIENT_GRIDS:
            d_logits = tiny.float64(tiny.uniform("d_logits", logits.shape, 1.0))
            d_tree, d_clips = backward(d_logits)
            arrays[case("gradients", grid)] = projections(d_tree | {"clips": d_clips})
    return arrays


def main():
    FOLDER.mkdir(exist_ok=True)
    for scheme in tiny.SCHEMES:
        np.savez_compressed(FOLDER / f"{scheme}.npz", **make(scheme))


if __name__ == "__main__":
    main()
