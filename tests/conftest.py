"""What the rooms' tests share."""

import atexit
import functools
import gc
import os
import shutil
import tempfile

import pytest

from data_pipelines import motions
from tests import tiny_run

_CACHE = "JAX_COMPILATION_CACHE_DIR"

# Tracing makes many objects and few cycles: a tenth of the time went into looking for them.
gc.set_threshold(100_000, 50, 100)

# With libtpu installed, JAX would look for a TPU first, and complain. JAX_PLATFORMS=cuda,cpu tests
# what needs a GPU.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Half of what these tests cost is compiling, mostly of the same programs in other processes: as
# fast as in those, whose flags are a part of what the cache goes by. Not for a GPU, where they
# would change what is tested.
if os.environ["JAX_PLATFORMS"] == "cpu":
    os.environ.setdefault("XLA_FLAGS", tiny_run.environment()["XLA_FLAGS"])
if _CACHE not in os.environ:
    os.environ[_CACHE] = tempfile.mkdtemp(prefix="vidtx-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    atexit.register(shutil.rmtree, os.environ[_CACHE], ignore_errors=True)


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
