"""What the rooms' tests share."""

import functools

import pytest

from data_pipelines import motions
from tests import tiny_run


@pytest.fixture(scope="session")
def motions_dir(tmp_path_factory):
    """A folder that holds the embedded data set, 16 + 8 scenes of two videos; not to be changed."""
    folder = tmp_path_factory.mktemp("data")
    motions.build(folder, train_scenes=16, test_scenes=8)
    return folder


@pytest.fixture(scope="session")
def tiny_config(motions_dir):
    """Returns f(**overrides) -> ConfigDict of a tiny run: ``tiny_config(**{"train.steps": 2})``."""
    return functools.partial(tiny_run.tiny_config, motions_dir)
