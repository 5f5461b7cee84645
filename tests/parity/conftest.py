import jax
import pytest


@pytest.fixture(autouse=True)
def highest_matmul_precision():
    """Float32 products in full, so that accelerators too agree with the other libraries."""
    with jax.default_matmul_precision("highest"):
        yield
