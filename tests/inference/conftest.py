"""Tiny weights of other libraries, as files."""

import numpy as np
import pytest
import safetensors.numpy

from tests.parity import foreign
from vidtx.weights import LAYOUTS

from . import folders


@pytest.fixture(scope="session")
def huggingface(tmp_path_factory):
    """Returns f(model) -> a folder, or of timm a file, of a model of `foreign`; not to change."""
    made = {}

    def make(model):
        if model not in made:
            arrays = foreign.weights(foreign.shapes_of(model))
            made[model] = foreign.write(tmp_path_factory.mktemp("foreign"), model, arrays)
        return made[model]

    return make


@pytest.fixture(scope="session")
def official(tmp_path_factory):
    """A file with the authors' names, of clips that are no square, of which nothing else tells."""
    size = foreign.Size(dim=192, grid=(4, 2, 3))
    arrays = folders.params(foreign.weights(foreign.shapes_of("divided_space_time", size)))
    path = tmp_path_factory.mktemp("official") / "weights.safetensors"
    safetensors.numpy.save_file(LAYOUTS["timesformer"].write(arrays), path)
    return path


@pytest.fixture(scope="session")
def damaged(tmp_path_factory):
    """A file that says it is safetensors, and is not."""
    path = tmp_path_factory.mktemp("damaged") / "model.safetensors"
    path.write_bytes(np.uint64(1 << 40).tobytes() + b'{"a')
    return path
