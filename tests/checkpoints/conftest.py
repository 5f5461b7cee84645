import shutil

import pytest

from tests.checkpoints import states
from vidtx.checkpoints import CheckpointStore


@pytest.fixture(scope="package")
def saved(tmp_path_factory):
    """A run directory with states 1 and 2; not to be changed."""
    workdir = tmp_path_factory.mktemp("run")
    with CheckpointStore(workdir) as store:
        store.save(1, states.state(1))
        store.save(2, states.state(2))
    return workdir


@pytest.fixture
def copied(saved, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(saved, tmp_path / "run")
