"""Writes the goldens that `test_goldens.py` compares vidtx with. Needs the extra `parity`.

    python -m tests.parity.make_goldens

Outputs are of transformers and timm, in float64, vidtx has no part in them. Weights and clips are
not stored but made again from their names (`foreign.py`). So a file holds, for each grid, logits;
and for every array of the library's file, and for the clips, two numbers: the product of its
gradient with a seeded direction, and the gradient's largest magnitude. `test_torch_models.py` holds
the files against the installed libraries.
"""

import pathlib
import sys

import numpy as np

from . import foreign

FOLDER = pathlib.Path(__file__).parent / "goldens"
MODELS = (*foreign.SCHEMES, *foreign.IMAGE_LIBRARIES)


def grids_of(model):
    """The token grids that a model's goldens are of, by name."""
    if model in foreign.SCHEMES:
        return foreign.GRIDS
    # An image is a clip of one frame. These libraries resize in other ways, or not at all.
    return {"trained": (1, *foreign.TINY.grid[1:])}


def checksum(arrays):
    """Sum of all arrays, to tell other weights from another model."""
    return sum(float(array.sum(dtype=np.float64)) for array in arrays.values())


def names_of(model):
    """In the order in which gradients are stored."""
    return [*sorted(foreign.shapes_of(model)), "clips"]


def make(model):
    """All golden arrays of one model."""
    import torch

    from . import torch_models

    shapes = foreign.shapes_of(model)
    arrays = {"checksum": np.float64(checksum(foreign.weights(shapes)))}
    built = torch_models.make(model, dtype=torch.float64)
    for case, grid in grids_of(model).items():
        clips = foreign.clips(grid)
        logits, gradients = torch_models.run(built, clips, foreign.logits_gradient())
        directions = foreign.directions(shapes | {"clips": clips.shape})
        names = names_of(model)
        assert sorted(names) == sorted(gradients)
        arrays[f"{case}/logits"] = logits
        arrays[f"{case}/gradients"] = np.array(
            [(gradients[name] * directions[name]).sum() for name in names]
        )
        arrays[f"{case}/largest"] = np.array([abs(gradients[name]).max() for name in names])
    return arrays


def main(models):
    """Writes the goldens of some models, of all where none is named."""
    FOLDER.mkdir(exist_ok=True)
    for model in models or MODELS:
        np.savez_compressed(FOLDER / f"{model}.npz", **make(model))


if __name__ == "__main__":
    main(sys.argv[1:])
