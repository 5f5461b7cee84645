"""Every experiment with its arguments: no problems, and a train step whose shapes fit together."""

import itertools

import jax
import pytest

from vidtx import run
from vidtx.config import experiments, load_config, resolve, to_dict
from vidtx.run.programs import CLASSES, Programs
from vidtx.sharding import make_mesh

SCHEMES = ("space", "joint", "divided", "sparse_local_global", "axial")
ORDERS = ("time_space", "space_time", "parallel")
POSITIONS = ("none", "space", "space_time")
VARIANTS = ("S/16", "B/16", "L/16", "B/32")
FRAMES = (8, 32, 64, 96)
TODAY = ("finetune", "linear_probe", "few_shot")
SIZES = dict.fromkeys(("ucf101_divided", "hmdb51_divided", *TODAY), ("base", "hr"))
SIZES["howto100m_divided"] = ("base",)

IN_THE_STEP = ("global_batch", "accumulate", "label_smoothing", "mixup", "cutmix", "ema_decay")

# What shapes depend on, of those that are known to fit.
_DONE = []


def arguments_of(name, *, crossed=False):
    """Arguments of an experiment, each a list of words: alone and, if crossed, with schemes."""
    if name == "table4":
        return [[], *([each] for each in POSITIONS)]
    if name == "table1":
        return [[], *([each] for each in SCHEMES)]
    schemes = [*SCHEMES, *(f"order={order}" for order in ORDERS)]
    with_each = [f"positions={each}" for each in POSITIONS]
    alone = [f"frames={count}" for count in FRAMES]
    if name != "motions":
        with_each += [f"size={size}" for size in SIZES.get(name, ("base", "hr", "l"))]
        # Of ImageNet-21K there are all variants.
        alone += [f"variant={variant},pretrain=in21k" for variant in VARIANTS]
        alone += [f"pretrain={each}" for each in ("in1k", "in21k", "k400", "none")]
        alone += ["runlocal"] + ["batch=paper"] * (name not in TODAY)
    pairs = map(list, itertools.product(schemes, with_each)) if crossed else ()
    return [[], *([word] for word in (*schemes, *with_each, *alone)), *pairs]


def spec_of(name, words=(), **changes):
    config = load_config(f"{name}:{','.join(words)}" if words else name)
    config.update_from_flattened_dict(changes)
    return resolve(config, run.problems)


def shape(spec):
    """The state after a step of these shapes, traced; once for all that have the same."""
    classes = CLASSES[spec.data.name]
    told = to_dict(spec)
    key = {
        **{("model", name): value for name, value in told["model"].items() if name != "dtype"},
        **{("train", name): told["train"][name] for name in IN_THE_STEP},
        **{("optimizer", name): value for name, value in told["optimizer"].items()},
        "clip": (spec.data.frames, spec.data.image_size, spec.data.flip),
    }
    if key in _DONE:
        return
    _DONE.append(key)
    programs = Programs.of(spec, make_mesh(spec.mesh), classes)
    after = programs.train_step.shapes(programs.abstract, programs.train_batch)
    assert jax.tree.structure(after) == jax.tree.structure(programs.abstract)
    for before, then in zip(
        jax.tree.leaves(programs.abstract), jax.tree.leaves(after), strict=True
    ):
        assert (before.shape, before.dtype) == (then.shape, then.dtype)
    head = programs.abstract.params["head"]["kernel"].shape
    assert head == (programs.model.embed_dim, classes)
    size, side = spec.data.image_size[0], programs.model.patch_size
    assert programs.model.token_grid == (spec.data.frames, size // side, size // side)


@pytest.mark.parametrize("name", sorted(experiments()))
def test_every_argument_has_no_problems(name):
    for words in arguments_of(name):
        spec = spec_of(name, words)
        assert spec.name.startswith(name.split("_")[0])


@pytest.mark.parametrize("name", sorted(experiments()))
def test_the_step_of_every_experiment(name):
    """With one block, which is as all others are."""
    shape(spec_of(name, **{"model.depth": 1}))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(experiments()))
def test_the_whole_step_with_every_argument(name):
    for words in arguments_of(name, crossed=name == "k400_divided"):
        # One block stands for all while it is traced, and the weights are those of all.
        shape(spec_of(name, words, **{"model.scan_layers": True}))
