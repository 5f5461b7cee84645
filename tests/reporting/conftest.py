"""A bucket of the tests' own."""

import pytest
from etils.epath import backend
from fsspec.registry import _registry

from tests.reporting.object_store import ObjectStore


@pytest.fixture
def bucket(monkeypatch):
    """An empty store in memory, of which ``gs://`` is for as long as the test runs."""
    store = type("Store", (ObjectStore,), {"objects": {}, "uploads": [], "down": False})
    monkeypatch.setitem(_registry, "gcs", store)
    kept = type(backend.fsspec_backend)._get_filesystem  # what etils has made before
    kept.cache_clear()
    yield store
    kept.cache_clear()
