import math

import numpy as np
import pytest
from PIL import Image

from vidtx.reporting import (
    ComparisonRow,
    SeedResult,
    comparison_table,
    plot_comparison,
    wilson_interval,
)


def result(score, seed=0, examples=1000, minutes=3.0):
    return SeedResult(seed, score, examples, 1400, minutes)


# Newcombe (Statistics in Medicine 17, 1998), Table I, method 3.
@pytest.mark.parametrize(
    ("successes", "examples", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilson_s_interval_is_the_published_one(successes, examples, low, high):
    assert wilson_interval(successes / examples, examples) == pytest.approx((low, high), abs=5e-5)


def test_wilson_s_interval_by_hand():
    # Where z = 1, 1 of 3: centre (1/3 + 1/6) / (4/3) = 3/8, half √(2/27 + 1/36) · 3/4.
    one_sigma = math.erf(1 / math.sqrt(2))
    half = math.sqrt(2 / 27 + 1 / 36) * 3 / 4
    found = wilson_interval(1 / 3, 3, one_sigma)
    assert found == pytest.approx((3 / 8 - half, 3 / 8 + half))


@pytest.mark.parametrize("values", [(1.1, 10), (-0.1, 10), (0.5, 0), (0.5, 10, 1.0), (math.nan, 1)])
def test_what_is_no_share_has_no_interval(values):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        wilson_interval(*values)


def test_mean_and_deviation_are_of_the_sample():
    row = ComparisonRow("joint", 1, 1, tuple(result(s, i) for i, s in enumerate([0.9, 0.92, 0.94])))
    assert row.mean == pytest.approx(0.92)
    assert row.deviation == pytest.approx(0.02)
    assert ComparisonRow("joint").mean is None
    assert ComparisonRow("joint", results=(result(0.9),)).deviation is None
    assert ComparisonRow("joint", results=(result(None), result(0.9, 1))).mean == 0.9


def test_a_row_that_is_not_there_yet_is_of_dashes():
    rows = [
        ComparisonRow("space", 85_932_462, 140_500_000_000, (result(0.287),)),
        ComparisonRow("joint"),
    ]
    table = comparison_table(rows, [0], column="attention scheme")
    head, rule, space, joint, empty, note = table.splitlines()
    assert head.split("|")[1].strip() == "attention scheme"
    assert set(rule) == set("|-: ")
    cells = [cell.strip() for cell in space.strip("|").split("|")]
    assert cells == ["space", "85,932,462", "140.50", "1,400", "3.0", "28.7 %", "26.0 to 31.6 %"]
    assert [cell.strip() for cell in joint.strip("|").split("|")] == ["joint", *"------"]
    assert empty == ""
    assert "Wilson's, over 1,000 videos" in note


def test_several_seeds_are_told_one_by_one():
    rows = [
        ComparisonRow("a", 10, 1_300_000, (result(0.90, 0), result(0.94, 7))),
        ComparisonRow("b", 10, 1_300_000, (result(0.5, 7, minutes=None),)),
    ]
    table = comparison_table(rows, [0, 7])
    head, _, a, b, *_, note = table.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")][-3:] == [
        "top-1", "seed 0", "seed 7",
    ]  # fmt: skip
    assert [cell.strip() for cell in a.strip("|").split("|")][-3:] == [
        "92.0 ± 2.8 %", "90.0 %", "94.0 %",
    ]  # fmt: skip
    assert [cell.strip() for cell in b.strip("|").split("|")][-4:] == [
        "-", "50.0 %", "-", "50.0 %",
    ]  # fmt: skip
    assert "sample standard deviation over seeds" in note
    assert "0.0013" in a


def test_a_score_that_is_no_accuracy_has_no_interval():
    rows = [ComparisonRow("a", 10, 10**9, (result(0.4),))]
    table = comparison_table(rows, [0], score_name="mAP", is_accuracy=False)
    assert "mAP" in table
    assert "interval" not in table.lower()


def curve(offset, steps=40):
    records = [
        {"step": step, "train/loss": 2.0 / step + offset, "timing/x": 1.0}
        for step in range(1, steps + 1)
    ]
    for record in records[9::10]:
        record["eval/top1"] = record["step"] / 100 + offset / 10
    return records


def colours(path):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    return {f"#{r:02X}{g:02X}{b:02X}" for r, g, b in np.unique(pixels, axis=0)}


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("steps", [40, 400])
def test_each_row_has_its_colour(tmp_path, seeds, steps):
    rows = {
        name: [curve(0.3 * i + 0.01 * seed, steps) for seed in range(seeds)]
        for i, name in enumerate(["space", "joint", "divided"])
    }
    path = plot_comparison(rows | {"axial": [[]], "late": []}, tmp_path / "deep" / "curves.png")
    assert path.exists()
    assert {"#0072B2", "#D55E00", "#009E73"} <= colours(path)
    assert "#AA4499" not in colours(path)


def test_a_picture_of_nothing_or_of_one_line_is_drawn(tmp_path):
    assert plot_comparison({}, tmp_path / "a.png").exists()
    assert plot_comparison({"x": [[], []]}, tmp_path / "b.png").exists()
    one = [{"step": 5, "train/loss": 1.0}, {"step": 6, "train/loss": math.nan}]
    assert "#0072B2" in colours(plot_comparison({"x": [one, one]}, tmp_path / "c.png"))


def test_seeds_of_other_steps_are_averaged_where_both_are(tmp_path):
    rows = {"x": [curve(0.0, 40), curve(0.1, 20)], "y": [curve(0.2, 3), []]}
    assert {"#0072B2", "#D55E00"} <= colours(plot_comparison(rows, tmp_path / "c.png"))
    apart = [[{"step": 1, "eval/top1": 0.5}], [{"step": 2, "eval/top1": 0.5}]]
    assert plot_comparison({"x": apart}, tmp_path / "d.png").exists()


def test_more_rows_than_colours_are_dashed(tmp_path):
    rows = {f"row {i}": [curve(0.1 * i)] for i in range(23)}
    assert plot_comparison(rows, tmp_path / "c.png").exists()


def test_another_score_can_be_drawn(tmp_path):
    records = [{"step": 3, "eval/map": 0.3}, {"step": 6, "eval/map": 0.4}]
    path = plot_comparison({"x": [records]}, tmp_path / "c.png", score="eval/map", score_name="mAP")
    assert "#0072B2" in colours(path)
