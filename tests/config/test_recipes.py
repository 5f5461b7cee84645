"""The experiments on published data sets, against the numbers of the paper and its code."""

import dataclasses

import pytest

from data_pipelines.sampling import eval_indices, segment_indices
from vidtx import run
from vidtx.config import experiments, load_config, resolve
from vidtx.errors import ConfigError
from vidtx.run.data import clip_spec

OTHER = {"motions", "table1", "table4", "finetune", "linear_probe", "few_shot"}
PUBLISHED = sorted(experiments().keys() - OTHER)


SIZES = ("_divided", "_divided_hr", "_divided_l")


def spec_of(reference):
    return resolve(load_config(reference), run.problems)


def test_every_published_recipe_is_here():
    sizes = [name + size for name in ("k400", "k600", "ssv2", "diving48") for size in SIZES]
    schemes = ["k400_space", "k400_joint", "k400_sparse_local_global", "k400_axial"]
    others = ["k400_released", "howto100m_divided", "ucf101_divided", "hmdb51_divided"]
    assert sorted([*sizes, *schemes, *others]) == PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_schedule_is_the_paper_s(name):
    spec = spec_of(name)
    assert (spec.train.epochs, spec.train.global_batch) == (15.0, 64)
    assert (spec.optimizer.name, spec.optimizer.learning_rate) == ("sgd", 0.005)
    assert (spec.optimizer.momentum, spec.optimizer.weight_decay) == (0.9, 1e-4)
    assert spec.optimizer.decay_at == (11 / 15, 14 / 15)
    assert (spec.data.mean, spec.data.std) == ((0.45,) * 3, (0.225,) * 3)
    # No augmentation of the pixels in any of them.
    assert (spec.data.rand_augment, spec.data.color_jitter, spec.data.erase) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("size", "frames", "stride", "side", "short_side"),
    [
        ("base", 8, 32, 224, (256, 320)),
        ("hr", 16, 16, 448, (448, 512)),
        ("l", 96, 4, 224, (256, 320)),
    ],
)
@pytest.mark.parametrize(
    "name", ["k400_divided", "k400_released", "k600_divided", "ssv2_divided", "diving48_divided"]
)
def test_sizes(name, size, frames, stride, side, short_side):
    spec = spec_of(f"{name}:{size}")
    if name == "ssv2_divided":
        assert spec.data.frames == (64 if size == "l" else frames)
    else:
        assert (spec.data.frames, spec.data.stride) == (frames, stride)
    assert spec.data.image_size == (side, side)
    assert (spec.data.short_side, spec.data.eval_short_side) == (short_side, side)
    assert (spec.eval.temporal_views, spec.eval.spatial_crops) == (1, 3)
    assert spec.name.endswith(size)
    if name != "k400_released" and size != "base":
        assert spec_of(f"{name}_{size}") == spec


def test_the_paper_and_its_code_test_different_clips():
    paper, code = spec_of("k400_divided"), spec_of("k400_released")
    assert (paper.eval.average, code.eval.average) == ("softmax", "logits")

    def tested(spec):
        return eval_indices(
            300,
            30,
            frames=spec.data.frames,
            stride=spec.data.stride,
            target_fps=spec.data.target_fps,
            sampling=spec.data.sampling,
            position=spec.eval.temporal_position,
            views=spec.eval.temporal_views,
        ).tolist()

    assert tested(paper) == [[37, 69, 101, 133, 165, 197, 229, 261]]
    assert tested(code) == [[0, 36, 72, 109, 145, 182, 218, 255]]


def test_something_something_is_never_mirrored_and_fed_as_bgr():
    spec = spec_of("ssv2_divided")
    assert not spec.data.flip
    assert spec.data.channel_order == "bgr"
    # Weights that were trained on RGB would be refused.
    assert spec_of("ssv2_divided:pretrain=k400").data.channel_order == "rgb"
    assert (spec.data.sampling, spec.data.short_side_draw) == ("segments", "inverse")
    assert segment_indices(41, spec.data.frames).tolist() == [2, 7, 12, 17, 22, 27, 32, 37]


@pytest.mark.parametrize(("frames", "clips"), [(8, 48), (32, 12), (64, 6), (96, 4)])
def test_howto100m_covers_videos_by_the_clips_of_table_8(frames, clips):
    spec = spec_of(f"howto100m_divided:{frames}")
    assert spec.data.frames == frames
    # 48 clips of 8 frames, at 10 frames per second as such long videos may be stored.
    found = eval_indices(
        10 * 48 * 8 * 32 // 30,
        10.0,
        frames=frames,
        stride=spec.data.stride,
        target_fps=spec.data.target_fps,
        position=spec.eval.temporal_position,
        views=spec.eval.temporal_views,
    )
    assert len(found) == clips
    assert spec.eval.temporal_views == 2 * clips


def test_a_scheme_and_a_size_may_stand_together():
    for argument in ("joint,hr", "hr,joint"):
        spec = spec_of(f"k400_released:{argument}")
        assert (spec.model.scheme, spec.data.frames, spec.name) == (
            "joint",
            16,
            "k400_released_joint_hr",
        )


@pytest.mark.parametrize("argument", ["hr,l", "joint,space", "joint,", ",", "hr,joint,l"])
def test_an_argument_that_is_too_much_is_refused_with_what_it_may_be(argument):
    with pytest.raises(
        ConfigError, match=r"(?s)Allowed are.*scheme=space\|joint.*size=base\|hr\|l,"
    ):
        load_config(f"k400_divided:{argument}")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("k400", "hf:google/vit-base-patch16-224-in21k"),
        ("k600", "hf:google/vit-base-patch16-224-in21k"),
        ("ssv2", "hf:facebook/deit-base-patch16-224"),
        ("diving48", "hf:facebook/deit-base-patch16-224"),
        ("howto100m", "hf:facebook/timesformer-base-finetuned-k400"),
        ("ucf101", "hf:facebook/timesformer-base-finetuned-k400"),
        ("hmdb51", "hf:facebook/timesformer-base-finetuned-k400"),
    ],
)
def test_what_a_run_begins_with_is_the_paper_s(name, source):
    for recipe in PUBLISHED:
        if recipe.startswith(name):
            assert spec_of(recipe).train.init_from == source, recipe


def test_the_authors_code_resizes_positions_as_a_row():
    assert spec_of("k400_released:hr").train.init_resize == "nearest_1d"
    assert spec_of("k400_divided:hr").train.init_resize == "nearest"


@pytest.mark.parametrize("name", ["k400_divided", "ssv2_divided_hr", "howto100m_divided"])
def test_appendix_a_and_the_released_code_take_other_batches(name):
    paper, released = spec_of(f"{name}:batch=paper"), spec_of(f"{name}:batch=released")
    assert (paper.train.global_batch, released.train.global_batch) == (16, 64)
    assert paper.optimizer == released.optimizer
    assert spec_of(name).train == released.train


def test_every_option_of_a_clip_reaches_the_clips():
    config = load_config("k400_divided")
    config.data.update(
        sampling="span",
        target_fps=25.0,
        short_side_draw="inverse",
        short_videos="loop",
        rand_augment=2,
        rand_augment_magnitude=7.0,
        color_jitter=0.4,
        erase=0.25,
    )
    config.eval.update(temporal_position="cover", temporal_views=4)
    found = dataclasses.asdict(clip_spec(resolve(config, run.problems)))
    assert found == {
        "frames": 8,
        "stride": 32,
        "target_fps": 25.0,
        "crop": (224, 224),
        "short_side": (256, 320),
        "eval_short_side": 224,
        "short": "loop",
        "temporal_views": 4,
        "spatial_crops": 3,
        "sampling": "span",
        "temporal_position": "cover",
        "short_side_draw": "inverse",
        "rand_augment": 2,
        "rand_augment_magnitude": 7.0,
        "color_jitter": 0.4,
        "erase": 0.25,
    }
