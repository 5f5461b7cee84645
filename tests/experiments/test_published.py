"""Published figures: each row is of the run that its reference starts, and what can be counted is.

Accuracies are the paper's: nothing here reproduces them.
"""

import dataclasses
import functools
import re

import pytest

from experiments.pretraining import weights_of
from experiments.published import PRETRAINING, PUBLISHED
from vidtx import run
from vidtx.analysis import count_macs, count_parameters
from vidtx.config import experiments, load_config, resolve
from vidtx.run.programs import CLASSES
from vidtx.run.setup import model_of


@functools.cache
def spec_of(reference):
    return resolve(load_config(reference), run.problems)


def model(reference, classes=None, **changes):
    spec = spec_of(reference)
    spec = dataclasses.replace(spec, model=dataclasses.replace(spec.model, **changes))
    return model_of(spec, classes or CLASSES[spec.data.name])


@functools.cache  # most runs are of the same few models
def counted(one_class):
    return count_parameters(one_class)


def parameters(reference, classes=None):
    """Of all arrays; those of the head grow with the classes."""
    classes = classes or CLASSES[spec_of(reference).data.name]
    found = counted(model(reference, 1))
    return found["total"] + found["head"] * (classes - 1)


def told(path):
    """The docstring of a file as one line."""
    return re.sub(r"\s+", " ", path.read_text().split('"""')[1])


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.table}, {row.reference}")
def test_a_row_is_of_the_run_that_its_reference_starts(row):
    spec = spec_of(row.reference)
    assert spec.model.scheme == row.scheme
    assert spec.model.position_embedding == row.positions
    assert spec.model.name == f"timesformer_{row.variant.lower().replace('/', '')}"
    assert (spec.data.frames, spec.data.image_size) == (row.frames, (row.side, row.side))
    assert (row.stride is None) == (spec.data.sampling == "segments")
    assert row.stride in (None, spec.data.stride)
    assert spec.train.init_from == weights_of(row.pretraining, row.variant, row.side)
    assert row.pretraining in PRETRAINING
    clips, crops = row.views
    if spec.eval.temporal_position == "cover":  # of which the mean is published
        clips = 2 * clips
    assert (spec.eval.temporal_views, spec.eval.spatial_crops) == (clips, crops)
    assert (row.top1 is None) != (row.difference is None)
    # What the file says of itself is what is on record.
    text = told(experiments()[row.reference.partition(":")[0]])
    for figure in (row.top1, row.top5, row.released_top1, row.released_top5):
        assert figure is None or f"{figure:.1f} %" in text, figure


def test_no_row_is_twice_and_all_tables_are_here():
    assert len({(row.reference, row.table) for row in PUBLISHED}) == len(PUBLISHED)
    tables = {row.table for row in PUBLISHED}
    assert tables >= {f"Table {number}" for number in (1, 3, 4, 5, 6, 7, 8)} | {"section 4.7"}
    # Every file for a published result has one.
    own = {"few_shot", "finetune", "linear_probe", "motions", "table1", "table4"}
    own |= {"k400_released", "ucf101_divided", "hmdb51_divided"}
    assert {row.reference.partition(":")[0] for row in PUBLISHED} == experiments().keys() - own


@pytest.mark.parametrize(
    "row", [row for row in PUBLISHED if row.parameters], ids=lambda row: row.reference
)
def test_parameters_are_those_that_are_printed(row):
    assert round(parameters(row.reference, 174) / 1e6, 1) == row.parameters


@pytest.mark.parametrize(
    ("reference", "count"),
    # As the released implementation has them, counted array by array.
    [
        ("k400_space", 86_106_256),
        ("k400_joint", 86_112_400),
        ("k400_divided", 121_566_352),
        ("k400_sparse_local_global", 121_566_352),
        ("k400_axial", 157_020_304),
        ("k400_divided_hr", 122_024_080),
        ("k400_divided_l", 121_633_936),
        ("k600_divided", 121_720_152),
        ("ssv2_divided", 121_392_558),
        ("ssv2_divided_hr", 121_850_286),
        ("ssv2_divided_l", 121_435_566),
        ("diving48_divided", 121_295_664),
    ],
)
def test_parameters_with_the_classes_of_the_data_set(reference, count):
    assert parameters(reference) == count


@pytest.mark.parametrize(
    ("reference", "giga_macs"),
    [("k400_divided", 195.8), ("k400_divided_hr", 1702.7), ("k400_divided_l", 2379.9)],
)
def test_multiply_adds_of_a_view_and_of_the_printed_views(reference, giga_macs):
    macs = count_macs(model(reference)).total
    assert round(macs / 1e9, 1) == giga_macs
    (row,) = [row for row in PUBLISHED if row.reference == reference and row.tera_macs]
    spec = spec_of(reference)
    views = spec.eval.temporal_views * spec.eval.spatial_crops
    assert views == row.views[0] * row.views[1] == 3
    assert round(views * macs / 1e12, 2) == row.tera_macs


@pytest.mark.parametrize("order", ["space_time", "parallel"])
def test_another_order_costs_the_same(order):
    plain = model("k400_divided", depth=1)
    other = model(f"k400_divided:order={order}", depth=1)
    assert count_parameters(plain) == count_parameters(other)
    assert count_macs(plain).total == count_macs(other).total
