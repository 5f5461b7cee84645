import jax
import pytest


@pytest.fixture(scope="package", autouse=True)
def quick_compiler():
    """Compiling is what these tests spend their time on; nothing here runs long."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
