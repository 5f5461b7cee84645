import pytest

from experiments.defaults import defaults
from vidtx.config import change


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("model.position_embedding=none", "none"),
        ("model.position_embedding=None", None),
        ("train.init_from=none", None),
        ("train.init_from=runs/a", "runs/a"),
        ("optimizer.clip_norm=none", None),
        ("optimizer.clip_norm=None", None),
        ("optimizer.freeze=('a/.*',)", ("a/.*",)),
        ("optimizer.groups=(('a', 1.0, 0.0), ('b', 2.0, 1.0))", (("a", 1.0, 0.0), ("b", 2.0, 1.0))),
    ],
)
def test_an_option_is_read_as_what_it_may_be(option, value):
    config = defaults()
    config.optimizer.clip_norm = 1.0
    change(config, [f"--config.{option}"])
    group, key = option.partition("=")[0].split(".")
    assert config[group][key] == value
