import pytest

from experiments.defaults import defaults


@pytest.fixture
def config():
    """The defaults, made whole by a length."""
    config = defaults()
    config.train.steps = 10
    return config
