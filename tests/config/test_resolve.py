import dataclasses
import json
import typing

import pytest

from vidtx.config import RunSpec, resolve, to_dict
from vidtx.errors import ConfigError
from vidtx.run import problems


def problems_of(config):
    """The lines of the one error that resolving raises."""
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    assert caught.value.exit_code == 2
    heading, *lines = str(caught.value).splitlines()
    assert heading in ("The config has a problem:", f"The config has {len(lines)} problems:")
    assert all(line.startswith("  - ") for line in lines)
    return [line.removeprefix("  - ") for line in lines]


def put(config, name, value):
    """Sets a dotted name, whatever its type is."""
    tree = config.to_dict()
    *groups, key = name.split(".")
    place = tree
    for group in groups:
        place = place[group]
    place[key] = value
    return tree


def keys_of(spec_type, prefix=""):
    for key, hint in typing.get_type_hints(spec_type).items():
        if dataclasses.is_dataclass(hint):
            yield from keys_of(hint, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_a_specification_survives_json(config):
    spec = resolve(config)
    text = json.dumps(to_dict(spec))
    again = resolve(json.loads(text))
    assert again == spec
    assert hash(again) == hash(spec)
    assert isinstance(again.data.image_size, tuple)
    assert type(again.train.label_smoothing) is float


def test_a_specification_is_frozen(config):
    spec = resolve(config)
    for part in (spec, spec.data):
        with pytest.raises(dataclasses.FrozenInstanceError):
            part.name = "other"


def test_defaults_name_every_option_and_no_other(config):
    assert sorted(keys_of(RunSpec)) == sorted(key for key, _ in flat(config.to_dict()))


def test_unknown_keys_are_named_with_what_was_meant(config):
    tree = put(config, "train.global_bach", 3)
    tree["zzz"] = 1
    first, second = sorted(problems_of(tree))
    assert first == "Unknown key train.global_bach: did you mean train.global_batch?"
    assert second.startswith("Unknown key zzz: known are name, seed, model, data")


def test_absent_keys_and_groups_are_named(config):
    tree = config.to_dict()
    del tree["optimizer"]["momentum"], tree["mesh"]
    assert problems_of(tree) == [
        "optimizer.momentum is absent; start from experiments.defaults.",
        "mesh is absent; start from experiments.defaults.",
    ]


def test_a_group_must_be_a_group(config):
    assert problems_of(put(config, "mesh", 8)) == ["mesh is 8; expected a group of keys."]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("seed", True, "a whole number"),
        ("seed", 1.0, "a whole number"),
        ("seed", None, "a whole number"),
        ("data.flip", 1, "True or False"),
        ("data.name", 3, "a string"),
        ("optimizer.learning_rate", "0.1", "a finite number"),
        ("optimizer.learning_rate", True, "a finite number"),
        ("model.depth", 1.5, "None or a whole number"),
        ("train.epochs", "15", "None or a finite number"),
        ("data.image_size", 224, "(a whole number, a whole number)"),
        ("data.image_size", (224, 224.0), "(a whole number, a whole number)"),
        ("data.image_size", (224, 224, 3), "(a whole number, a whole number)"),
        ("data.mean", (0.5, "0.5", 0.5), "(a finite number, a finite number, a finite number)"),
        ("optimizer.decay_at", 0.5, "(a finite number, …)"),
    ],
)
def test_a_wrong_type_is_refused(config, name, value, expected):
    problem, *_ = problems_of(put(config, name, value))
    assert problem.startswith(f"{name} is {value!r}; expected ")
    # Either order of a union reads as well.
    assert set(problem.split("; expected ")[1].rstrip(".").split(" or ")) == set(
        expected.split(" or ")
    )


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("optimizer.learning_rate", 1, 1.0),
        ("data.target_fps", 15, 15.0),
        ("data.image_size", [112, 96], (112, 96)),
        ("data.mean", [0, 0.5, 1], (0.0, 0.5, 1.0)),
        ("optimizer.decay_at", [], ()),
        ("model.depth", None, None),
    ],
)
def test_json_s_types_stand_for_ours(config, name, given, value):
    spec = resolve(put(config, name, given))
    group, key = name.split(".")
    found = getattr(getattr(spec, group), key)
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, tuple):
        assert [type(item) for item in found] == [type(item) for item in value]


IMPOSSIBLE = {
    "seed": [-1, 2**32],
    "data.source": ["tape"],
    "data.channel_order": ["gbr"],
    "data.threads": [-1],
    "data.workers": [-1],
    "data.max_bad": [-0.1, 1.1],
    "data.std": [(0.2, 0.0, 0.2)],
    "train.global_batch": [0, -8],
    "train.log_every_steps": [0],
    "train.label_smoothing": [-0.1, 1.0],
    "train.accumulate": [0],
    "train.mixup": [-0.1],
    "train.cutmix": [-1.0],
    "train.ema_decay": [-0.1, 1.0],
    "train.steps": [0],
    "optimizer.name": ["lamb"],
    "optimizer.schedule": ["linear"],
    "optimizer.weight_decay_on": ["biases"],
    "optimizer.learning_rate": [0.0, -1.0],
    "optimizer.warmup_steps": [-1],
    "optimizer.weight_decay": [-1e-4],
    "optimizer.momentum": [1.0, -0.1],
    "optimizer.b1": [1.0],
    "optimizer.b2": [1.5],
    "optimizer.decay_at": [(0.9, 0.5), (0.0,), (1.0,)],
    "optimizer.decay_factor": [0.0, 1.5],
    "optimizer.clip_norm": [0.0],
    "optimizer.layer_decay": [0.0, 1.1],
    "eval.global_batch": [0],
    "eval.every_steps": [0],
    "eval.average": ["median"],
    "eval.state": ["oldest"],
    "checkpoint.every_steps": [0],
    "checkpoint.keep": [0],
    "checkpoint.keep_every_steps": [0],
    "checkpoint.keep_best": [-1],
    "mesh.data": [0, -2],
    "mesh.fsdp": [0],
    "mesh.sequence": [0, -3],
    "mesh.tensor": [0],
    "profile.first_step": [-1],
    "profile.steps": [0],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in IMPOSSIBLE.items() for value in values]
)
def test_an_impossible_value_is_refused(config, name, value):
    (problem,) = problems_of(put(config, name, value))
    assert name in problem
    assert str(value) in problem


def test_every_specification_s_problems_come_in_one_error(config):
    tree = config.to_dict()
    for name, values in IMPOSSIBLE.items():
        group, _, key = name.rpartition(".")
        (tree[group] if group else tree)[key] = values[0]
    found = problems_of(tree)
    for name in IMPOSSIBLE:
        assert sum(problem.startswith(f"{name} is ") for problem in found) == 1, name


def test_all_wrong_types_come_in_one_error(config):
    tree = put(config, "seed", "0")
    tree["train"]["global_batch"] = 8.0
    tree["unheard_of"] = 1
    assert len(problems_of(tree)) == 3


def test_only_one_axis_takes_the_devices_that_are_left(config):
    tree = put(config, "mesh", {**config.mesh.to_dict(), "data": -1, "fsdp": -1})
    (problem,) = problems_of(tree)
    assert "only one axis" in problem


def test_further_checks_are_told_together_with_our_own(config):
    config.seed = -1
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*seed is -1.*no such planet"):
        resolve(config, lambda spec: ["no such planet"])
    config.seed = 0
    with pytest.raises(ConfigError, match="a problem:\n  - no such planet"):
        resolve(config, lambda spec: ["no such planet"])


# What clips are cut by is checked where they are cut.
IMPOSSIBLE_CLIPS = {
    "data.sampling": ["random", "uniform"],
    "data.short_side_draw": ["normal"],
    "data.rand_augment": [-1],
    "data.rand_augment_magnitude": [-0.5, 10.5],
    "data.color_jitter": [-0.1],
    "data.erase": [-0.1, 1.1],
    "eval.temporal_position": ["end"],
    "eval.temporal_views": [0],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in IMPOSSIBLE_CLIPS.items() for value in values],
)
def test_an_impossible_clip_is_refused(config, name, value):
    with pytest.raises(ConfigError) as caught:
        resolve(put(config, name, value), problems)
    heading, problem = str(caught.value).splitlines()
    assert heading == "The config has a problem:"
    assert f"{name.partition('.')[2]} is {value}; it " in problem


def test_all_that_is_impossible_about_clips_comes_in_one_error(config):
    tree = config.to_dict()
    for name, values in IMPOSSIBLE_CLIPS.items():
        group, key = name.split(".")
        tree[group][key] = values[0]
    with pytest.raises(ConfigError, match=f"has {len(IMPOSSIBLE_CLIPS)} problems"):
        resolve(tree, problems)


def test_options_that_segments_would_ignore_are_refused(config):
    config.data.sampling = "segments"
    resolve(config, problems)
    config.data.target_fps = 25.0
    config.eval.temporal_views, config.eval.temporal_position = 2, "cover"
    with pytest.raises(ConfigError, match="3 problems") as caught:
        resolve(config, problems)
    for problem in ("target_fps is 25.0", "temporal_views is 2", "temporal_position is cover"):
        assert f"{problem}; with sampling segments" in str(caught.value)


@pytest.mark.parametrize("value", [0, 4])
def test_the_host_may_decode_without_threads(config, value):
    config.data.threads = config.data.workers = value
    assert resolve(config, problems).data.threads == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["optimizer.weight_decay", "train.epochs", "data.target_fps"])
def test_what_is_not_finite_is_refused(config, name, value):
    assert f"{name} is {value}; expected" in "\n".join(problems_of(put(config, name, value)))


def test_wrong_types_do_not_hide_impossible_values(config):
    tree = put(config, "train.steps", "many")
    tree["data"]["frames"], tree["checkpoint"]["keep"], tree["model"]["scheme"] = 0, 0, "diagonal"
    with pytest.raises(ConfigError) as caught:
        resolve(tree, problems)
    for problem in (
        "train.steps is 'many'",
        "checkpoint.keep is 0",
        "data.frames is 0",
        "diagonal",
    ):
        assert problem in str(caught.value)
