"""What stands behind a config's colon: what it does, and how a wrong word is told."""

import dataclasses

import pytest

from experiments.arguments import SCHEMES as NAMES
from experiments.datasets import DATASETS
from vidtx import run
from vidtx.config import experiments, load_config, resolve
from vidtx.errors import ConfigError
from vidtx.models import SCHEMES
from vidtx.run.programs import CLASSES

AUGMENTATION = ("rand_augment", "rand_augment_magnitude", "color_jitter", "erase")


def spec_of(reference):
    return resolve(load_config(reference), run.problems)


def test_the_schemes_are_the_models():
    assert set(NAMES) == SCHEMES.keys()


@pytest.mark.parametrize(
    ("words", "option", "value"),
    [
        ("joint", "model.scheme", "joint"),
        ("scheme=axial", "model.scheme", "axial"),
        ("order=time_space", "model.scheme", "divided"),
        ("order=space_time", "model.scheme", "divided_space_first"),
        ("order=parallel", "model.scheme", "divided_parallel"),
        ("divided_parallel", "model.scheme", "divided_parallel"),
        ("hr", "data.image_size", (448, 448)),
        ("size=l", "data.frames", 96),
        ("frames=64", "data.frames", 64),
        ("32", "data.frames", 32),
        ("S/16", "model.name", "timesformer_s16"),
        ("variant=L/16", "model.name", "timesformer_l16"),
        ("variant=B/32", "model.name", "timesformer_b32"),
        ("positions=none", "model.position_embedding", "none"),
        ("positions=space", "model.position_embedding", "space"),
        ("batch=paper", "train.global_batch", 16),
        ("batch=released", "train.global_batch", 64),
        ("pretrain=none", "train.init_from", None),
        ("pretrain=in1k", "train.init_from", "hf:facebook/deit-base-patch16-224"),
        ("pretrain=in21k", "train.init_from", "hf:google/vit-base-patch16-224-in21k"),
        ("pretrain=k400", "train.init_from", "hf:facebook/timesformer-base-finetuned-k400"),
        ("hr,pretrain=k400", "train.init_from", "hf:facebook/timesformer-hr-finetuned-k400"),
        ("S/16,pretrain=in1k", "train.init_from", "hf:facebook/deit-small-patch16-224"),
        ("B/32", "train.init_from", "hf:google/vit-base-patch32-224-in21k"),
        ("L/16", "train.init_from", "hf:google/vit-large-patch16-224-in21k"),
        ("S/16", "train.init_from", "hf:timm/vit_small_patch16_224.augreg_in21k"),
    ],
)
def test_each_word_sets_what_it_names(words, option, value):
    group, key = option.split(".")
    spec = spec_of(f"k400_divided:{words}")
    assert getattr(getattr(spec, group), key) == value
    assert spec.data.name == "kinetics400"


@pytest.mark.parametrize(
    ("reference", "frames", "stride"),
    [
        # The clip lasts as long as the paper's, where the paper gives no stride.
        ("k400_divided:frames=16", 16, 16),
        ("k400_divided:frames=32", 32, 8),
        ("k400_divided:frames=64", 64, 4),
        ("k400_divided:frames=96", 96, 4),
        ("ucf101_divided:frames=32", 32, 4),
        ("hmdb51_divided:frames=256", 256, 1),
        # Here more frames are a longer clip.
        ("howto100m_divided:frames=64", 64, 32),
        ("howto100m_divided:divided,96", 96, 32),
    ],
)
def test_the_stride_of_other_numbers_of_frames(reference, frames, stride):
    spec = spec_of(reference)
    assert (spec.data.frames, spec.data.stride) == (frames, stride)


def test_the_order_of_words_decides_nothing():
    one, other = (
        spec_of(f"k400_released:{words}")
        for words in ("joint,hr,frames=8,positions=space", "positions=space,8,size=hr,scheme=joint")
    )
    assert one == other
    assert one.name == "k400_released_joint_hr_8_positions_space"


def test_runs_that_differ_have_other_names():
    words = (
        "",
        "joint",
        "hr",
        "l",
        "32",
        "order=parallel",
        "S/16",
        "L/16",
        "B/32",
        "pretrain=k400",
    )
    words += ("pretrain=in1k", "pretrain=none", "positions=none", "positions=space", "batch=paper")
    words += ("hr,joint", "hr,frames=32", "runlocal", "runlocal,joint", "runlocal,batch=paper")
    names = [load_config(f"k400_divided:{word}").name for word in words]
    assert len(set(names)) == len(names)
    assert load_config("k400_divided_hr").name == load_config("k400_divided:hr").name
    assert load_config("k400_joint").name == load_config("k400_divided:joint").name


def test_all_that_is_wrong_is_told_with_what_is_meant_and_what_is_allowed():
    words = "joint,sise=hr,divded,frames=0,positions=spce,foo,space,order=sideways"
    with pytest.raises(ConfigError) as caught:
        load_config(f"k400_divided:{words}")
    message = str(caught.value)
    for part in (
        "'sise=hr' has no key of this experiment; did you mean 'size'?",
        "'divded' is no word of this experiment; did you mean 'divided'?",
        "'frames=0' must be a whole number of at least 1.",
        "'positions=spce' has no value of this key; did you mean 'space'?",
        "'foo' is no word of this experiment.",
        "'space': scheme is given already, as 'joint'.",
        "'order=sideways' has no value of this key.",
        "\n    size=base|hr|l, or the value alone\n",
        "\n    variant=S/16|B/16|L/16|B/32, or the value alone\n",
        "\n    order=time_space|space_time|parallel\n",
        "\n    runlocal",
    ):
        assert part in message, part
    assert "Error:" not in message


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("k400_divided:hr,l", "'l': size is given already, as 'hr'"),
        ("k400_divided:joint,", "'' is no word"),
        ("k400_divided:order=parallel,joint", "order=parallel is one of divided attention"),
        ("k400_divided:variant=s/16", "did you mean 'S/16'?"),
        ("k400_divided:frames=-8", "must be a whole number of at least 1"),
        ("k400_divided:runlocale", "did you mean 'runlocal'?"),
        ("k400_divided:L/16,pretrain=in1k", "pretrain=in1k has no weights of variant L/16: DeiT"),
        ("k400_divided:B/32,pretrain=k400", "pretrain=k400 has no weights of variant B/32"),
        ("howto100m_divided:hr", "'hr' is no word"),
        ("ucf101_divided:l", "'l' is no word"),
        ("motions:diagonal", "'diagonal' is no word"),
        ("motions:runlocal", "'runlocal' is no word"),
        ("table4:time", "'time' is no word"),
        ("finetune:shots=3", "'shots=3' has no key"),
        ("few_shot:shots=0", "'shots=0' must be a whole number of at least 1"),
        ("finetune:dataset=", "'dataset=' has no value of this key"),
        ("finetune:dataset=ucf101,dataset=b", "dataset is given already, as 'ucf101'"),
        ("finetune:batch=paper", "'batch=paper' has no key"),
    ],
)
def test_what_is_refused(reference, told):
    with pytest.raises(ConfigError) as caught:
        load_config(reference)
    assert told in str(caught.value)


def test_a_mistake_of_a_file_is_still_told_with_its_line(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def get_config(argument=None):\n    return int('8x')\n")
    with pytest.raises(ConfigError, match=r"get_config of .*mine\.py fails: ValueError.*line 2"):
        load_config(f"{path}:a")


@pytest.mark.parametrize("recipe", ["finetune", "linear_probe", "few_shot"])
def test_recipes_of_today_take_any_data_set(recipe):
    published = spec_of(f"{recipe}:dataset=hmdb51")
    assert (published.data.name, published.data.stride) == ("hmdb51", 8)
    assert published.train.init_from == "hf:facebook/timesformer-base-finetuned-k400"
    assert spec_of(f"{recipe}:dataset=kinetics400").train.init_from.endswith("-in21k")
    assert spec_of(f"{recipe}:S/16").train.init_from.startswith("hf:timm/")
    assert not spec_of(f"{recipe}:dataset=something_something_v2").data.flip
    own = spec_of(f"{recipe}:dataset=my_videos,source=folder,joint,frames=16")
    assert (own.data.name, own.data.source, own.data.eval_split) == ("my_videos", "folder", "test")
    assert (own.data.sampling, own.data.frames, own.model.scheme) == ("segments", 16, "joint")


@pytest.mark.parametrize("recipe", ["finetune", "linear_probe", "few_shot"])
def test_recipes_of_today_sample_and_judge_a_published_data_set_as_its_own_recipe(recipe):
    """Also a version of it; Kinetics-700 has no recipe of its own, and is as Kinetics-600."""
    own = {
        "kinetics600": "k600_divided",
        "kinetics700": "k600_divided",
        "something_something_v2": "ssv2_divided",
        "diving48": "diving48_divided",
        "howto100m": "howto100m_divided",
    }
    for name, reference in own.items():
        # Weights that are fed as BGR by the paper's recipe alone.
        paper = spec_of(f"{reference}:frames=32,pretrain=k400")
        today = spec_of(f"{recipe}:dataset={name}:1.0.0,frames=32")
        data = dataclasses.replace(
            paper.data,
            name=f"{name}:1.0.0",
            **{key: getattr(today.data, key) for key in (*AUGMENTATION, "per_class")},
        )
        assert today.data == data
        judged = dataclasses.replace(today.eval, every_epochs=paper.eval.every_epochs)
        assert judged == paper.eval
        assert today.name == f"{recipe}_divided_{name}_1.0.0_32"
        plain = spec_of(f"{recipe}:dataset={name},frames=32")
        assert dataclasses.replace(plain.data, name=today.data.name) == today.data
        weights = "hf:google/vit-base-patch16-224-in21k"
        assert (today.train.init_from == weights) == name.startswith("kinetics")
    howto, ssv2 = (spec_of(f"{recipe}:dataset={name}") for name in ("howto100m", list(own)[2]))
    assert (howto.data.target_fps, howto.eval.temporal_position) == (30.0, "cover")
    assert (howto.eval.temporal_views, howto.eval.spatial_crops) == (96, 1)
    assert (ssv2.data.flip, ssv2.data.eval_split) == (False, "validation")
    assert (ssv2.data.short_side_draw, ssv2.eval.average) == ("inverse", "logits")


def test_shots_are_videos_of_each_class():
    assert spec_of("few_shot").data.per_class == 5
    assert spec_of("few_shot:dataset=hmdb51,shots=16").data.per_class == 16
    assert all(
        load_config(name).data.per_class is None for name in experiments() if name != "few_shot"
    )


def test_every_data_set_of_a_recipe_is_known():
    names = {load_config(name).data.name for name in experiments()}
    assert DATASETS.keys() | names <= CLASSES.keys()
    assert CLASSES["kinetics700"] == 700
