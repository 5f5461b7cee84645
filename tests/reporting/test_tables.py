import numpy as np
import pytest

from vidtx.reporting import confused_pairs, format_table, per_class_table


def test_plain_tables_are_aligned_with_numbers_to_the_right():
    table = format_table(
        [("divided", 121_258, 0.78), ("joint [x]", 85, None)], ["scheme", "params", "top-1"]
    )
    assert table.splitlines() == [
        "scheme     params  top-1",
        "─────────  ──────  ─────",
        "divided    121258   0.78",
        "joint [x]      85      -",
    ]


def test_markdown_tables_escape_bars_and_mark_the_right():
    table = format_table([("a|b", "12.5 %"), ("two\nlines", "1,000")], ["x", "y"], style="markdown")
    assert table.splitlines() == [
        "| x         |      y |",
        "| --------- | -----: |",
        "| a\\|b      | 12.5 % |",
        "| two lines |  1,000 |",
    ]


def test_wide_characters_take_two_columns():
    lines = format_table([("射箭", 1), ("x", 22)], ["name", "n"]).splitlines()
    assert lines[2:] == ["射箭   1", "x     22"]


def test_numpy_scalars_look_like_numbers():
    table = format_table([(np.float32(0.1), np.int64(3), np.float64("nan"))], ["a", "b", "c"])
    assert table.splitlines()[-1].split() == ["0.1", "3", "-"]


def test_an_empty_table_is_its_headers():
    assert format_table([], ["a", "bc"]).splitlines()[0] == "a  bc"


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="Row 1 has 1 cells for 2 headers"):
        format_table([(1, 2), (3,)], ["a", "b"])


def test_unknown_styles_are_refused():
    with pytest.raises(ValueError, match="style='html'"):
        format_table([], ["a"], style="html")


def test_classes_are_listed_with_their_mean():
    table = per_class_table(["a", "b", "c"], [10, 30, 0], [1.0, 0.5, float("nan")])
    assert [line.split() for line in table.splitlines()[2:]] == [
        ["0", "a", "10", "100.0", "%"],
        ["1", "b", "30", "50.0", "%"],
        ["2", "c", "0", "-"],
        # Every class weighs the same: not (10 + 15) / 40.
        ["mean", "of", "classes", "40", "75.0", "%"],
    ]


def test_classes_may_be_scored_otherwise_and_share_their_clips():
    table = per_class_table(
        ["a", "b"], [3, 4], [0.5, 0.25], score="average precision", clips=5
    ).splitlines()
    assert table[0].split() == ["class", "name", "clips", "average", "precision"]
    # Of seven labels on five clips.
    assert table[-1].split() == ["mean", "of", "classes", "5", "37.5", "%"]


def test_worst_classes_come_first_and_unknown_ones_last():
    table = per_class_table(
        ["a", "b", "c"], [1, 0, 1], np.array([0.9, np.nan, 0.2]), worst_first=True
    )
    assert [line.split()[1] for line in table.splitlines()[2:5]] == ["c", "a", "b"]


def test_columns_of_classes_must_be_as_long():
    with pytest.raises(ValueError, match="2 names, 1 counts and 2 accuracies"):
        per_class_table(["a", "b"], [1], [0.5, 0.5])


def test_confused_pairs_are_the_largest_off_the_diagonal():
    matrix = np.array([[9, 1, 0], [4, 4, 0], [0, 1, 3]], np.uint32)
    assert confused_pairs(matrix, ["a", "b", "c"]) == [
        ("b", "a", 4, 0.5), ("a", "b", 1, 0.1), ("c", "b", 1, 0.25)
    ]  # fmt: skip
    assert len(confused_pairs(matrix, ["a", "b", "c"], limit=1)) == 1
    with pytest.raises(ValueError, match=r"\[3, 3\] for 2"):
        confused_pairs(matrix, ["a", "b"])
