"""Which options may change between two starts of one run."""

import json

from tests.config.test_resolve import flat
from vidtx.config import differences, resolve, to_dict


def test_differences_name_what_decides_the_model(config):
    then = to_dict(resolve(config))
    config.train.global_batch = 128
    config.data.image_size = (112, 112)
    config.seed = 7
    now = json.loads(json.dumps(to_dict(resolve(config))))
    assert differences(then, now) == [
        "data.image_size: [224, 224] then, [112, 112] now",
        "seed: 0 then, 7 now",
        "train.global_batch: 64 then, 128 now",
    ]
    assert differences(now, now) == []


def test_differences_name_keys_that_one_side_lacks(config):
    tree = to_dict(resolve(config))
    older = json.loads(json.dumps(tree))
    del older["model"]["scheme"]
    older["model"]["flavour"] = "sweet"
    assert differences(older, tree) == [
        "model.flavour: 'sweet' then, None now",
        "model.scheme: None then, 'divided' now",
    ]


def test_a_run_from_before_an_option_of_where_and_how_it_computes_goes_on(config):
    now = to_dict(resolve(config))
    older = json.loads(json.dumps(now))
    for name in ("attention", "remat", "scan_layers"):
        del older["model"][name]
    for axis in ("sequence", "tensor"):
        del older["mesh"][axis]
    assert differences(older, now) == []


MAY_CHANGE = {
    "name": "other",
    "data.data_dir": "elsewhere",
    "data.threads": 7,
    "data.workers": 2,
    "data.max_bad": 0.5,
    "data.eval_split": "test",
    "data.eval_short_side": 300,
    "eval.global_batch": 3,
    "eval.every_steps": None,
    "eval.every_epochs": 3.0,
    "eval.every_examples": None,
    "eval.temporal_views": 3,
    "eval.temporal_position": "cover",
    "eval.spatial_crops": 1,
    "eval.average": "logits",
    "eval.state": "best",
    "train.accumulate": 2,
    "train.log_every_steps": 3,
    "checkpoint.every_steps": None,
    "checkpoint.every_epochs": None,
    "checkpoint.every_examples": 3,
    "checkpoint.keep": 3,
    "checkpoint.keep_every_steps": 3,
    "checkpoint.keep_best": 3,
    "mesh.data": 4,
    "mesh.fsdp": 2,
    "mesh.sequence": 2,
    "mesh.tensor": 2,
    "model.attention": "xla",
    "model.remat": "full",
    "model.scan_layers": True,
    "profile.first_step": 3,
    "profile.steps": 3,
    "debug.check_nans": True,
}


def test_where_data_lie_and_how_often_one_looks_is_no_difference(config):
    then = to_dict(resolve(config))
    tree = config.to_dict()
    for name, value in MAY_CHANGE.items():
        group, _, key = name.rpartition(".")
        (tree[group] if group else tree)[key] = value
    now = to_dict(resolve(tree))
    assert then != now
    assert differences(then, now) == []


def test_whatever_else_changes_is_a_difference(config):
    then = json.loads(json.dumps(to_dict(resolve(config))))
    for name, _ in flat(then):
        if name in MAY_CHANGE or name.startswith("mesh."):
            continue
        now = json.loads(json.dumps(then))
        group, _, key = name.rpartition(".")
        (now[group] if group else now)[key] = "anything else"
        assert [line.partition(":")[0] for line in differences(then, now)] == [name]
