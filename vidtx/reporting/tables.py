"""Tables as text: for terminals, logs and markdown."""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Literal

import numpy as np
from rich.cells import cell_len

Style = Literal["plain", "markdown"]
MISSING = "-"


def format_table(
    rows: Iterable[Sequence[object]], headers: Sequence[str], *, style: Style = "plain"
) -> str:
    """Formats a table with aligned columns; columns of numbers are set to the right.

    Args:
      rows: The cells. Floats are shown with four significant digits, None and NaN as a dash,
        anything else as `str` has it. Format a cell yourself for any other look.
      headers: One name a column.
      style: "plain" for terminals and logs, "markdown" for documents.

    Returns:
      The lines, without a line break at the end.

    Raises:
      ValueError: If a row has not as many cells as there are headers, or `style` is unknown.
    """
    if style not in ("plain", "markdown"):
        raise ValueError(f"{style=} must be 'plain' or 'markdown'.")
    cells, right = _layout(rows, headers)
    headers = [_one_line(header) for header in headers]
    if style == "markdown":
        cells = [[cell.replace("|", "\\|") for cell in row] for row in cells]
        headers = [header.replace("|", "\\|") for header in headers]
    # Markdown needs three characters for its rule.
    widths = [
        max(3 if style == "markdown" else 0, *(cell_len(row[i]) for row in [headers, *cells]))
        for i in range(len(headers))
    ]
    lines = [
        [
            _pad(cell, width, at_right)
            for cell, width, at_right in zip(row, widths, right, strict=True)
        ]
        for row in [headers, *cells]
    ]
    if style == "markdown":
        rule = [
            "-" * (width - 1) + (":" if r else "-") for width, r in zip(widths, right, strict=True)
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
    rule = ["─" * width for width in widths]
    return "\n".join("  ".join(line).rstrip() for line in [lines[0], rule, *lines[1:]])


def per_class_table(
    class_names: Sequence[str],
    counts: Sequence[int],
    accuracies: Sequence[float | None],
    *,
    style: Style = "plain",
    worst_first: bool = False,
    score: str = "accuracy",
    clips: int | None = None,
) -> str:
    """Formats the accuracy of every class, and their mean.

    Args:
      class_names: One name a class.
      counts: Evaluated clips of each class.
      accuracies: Top-1 accuracy of each class, or another score of it, a share between 0 and 1;
        None or NaN for a class without clips.
      style: As for `format_table`.
      worst_first: Sorts by accuracy, classes without clips last; else by class number.
      score: The name of what `accuracies` holds.
      clips: All clips, where a clip may be of several classes; else the sum of the counts.

    Returns:
      The table. Its last row has all clips, and the mean of the class accuracies, every class
      with clips weighing the same.

    Raises:
      ValueError: If the three sequences differ in length.
    """
    rows = per_class_rows(class_names, counts, accuracies, worst_first=worst_first)
    known = [accuracy for *_, accuracy in rows if accuracy is not None]
    mean = sum(known) / len(known) if known else None
    total = sum(row[2] for row in rows) if clips is None else clips
    rows.append(("", "mean of classes", total, mean))
    return format_table(
        [(number, name, count, percent(accuracy)) for number, name, count, accuracy in rows],
        ["class", "name", "clips", score],
        style=style,
    )


def per_class_rows(
    class_names: Sequence[str],
    counts: Sequence[int],
    accuracies: Sequence[float | None],
    *,
    worst_first: bool = False,
) -> list[tuple[int | str, str, int, float | None]]:
    """Pairs class numbers, names, clip counts and accuracies; see `per_class_table`.

    Returns:
      (class number, name, clips, accuracy or None) for every class.

    Raises:
      ValueError: If the three sequences differ in length.
    """
    lengths = len(class_names), len(counts), len(accuracies)
    if len(set(lengths)) != 1:
        raise ValueError(
            "A table of classes needs one name, one count and one accuracy a class, got "
            f"{lengths[0]} names, {lengths[1]} counts and {lengths[2]} accuracies."
        )
    rows = []
    columns = zip(class_names, counts, accuracies, strict=True)
    for number, (name, count, value) in enumerate(columns):
        unknown = value is None or math.isnan(value)
        rows.append((number, str(name), int(count), None if unknown else float(value)))
    if worst_first:
        rows.sort(key=lambda row: (row[3] is None, row[3] or 0.0))
    return rows


def confused_pairs(
    matrix: np.ndarray, class_names: Sequence[str], *, limit: int = 10
) -> list[tuple[str, str, int, float]]:
    """Finds the pairs of classes that are taken for one another most often.

    Args:
      matrix: Counts [C, C]; row: true class, column: predicted class.
      class_names: C names.
      limit: At most this many pairs; pairs that never occur are left out.

    Returns:
      (true class, predicted class, clips, share of the true class's clips), most clips first.

    Raises:
      ValueError: If the matrix is not C by C.
    """
    matrix = np.asarray(matrix)
    C = len(class_names)
    if matrix.shape != (C, C):
        raise ValueError(f"The confusion matrix is {list(matrix.shape)} for {C} class names.")
    wrong = matrix * (1.0 - np.eye(C))  # float: unsigned counts cannot be sorted by their negative
    totals = matrix.sum(axis=1)
    # Stable: equal counts stay in the order of the classes, in every run.
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(i), C) for i in order if wrong.flat[i] > 0]
    return [
        (str(class_names[r]), str(class_names[c]), int(wrong[r, c]), float(wrong[r, c] / totals[r]))
        for r, c in pairs
    ]


def percent(share: float | None) -> str:
    """Formats a share between 0 and 1, such as `51.2 %`; None and NaN as a dash."""
    return MISSING if share is None or math.isnan(share) else f"{share * 100:.1f} %"


def _layout(
    rows: Iterable[Sequence[object]], headers: Sequence[str]
) -> tuple[list[list[str]], list[bool]]:
    """Returns the cells as text, and for every column whether it is set to the right."""
    rows = [list(row) for row in rows]
    for number, row in enumerate(rows):
        if len(row) != len(headers):
            raise ValueError(
                f"Row {number} has {len(row)} cells for {len(headers)} headers {list(headers)}: "
                f"{row}."
            )
    cells = [[_text(cell) for cell in row] for row in rows]
    columns = [[row[i] for row in cells] for i in range(len(headers))]
    return cells, [any(map(_is_number, c)) and all(map(_is_numeric, c)) for c in columns]


def _text(cell: object) -> str:
    # The abstract types: NumPy's float32 is no `float`.
    if isinstance(cell, Real) and not isinstance(cell, Integral):
        return MISSING if math.isnan(cell) else f"{float(cell):.4g}"
    return MISSING if cell is None else _one_line(str(cell))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_number(cell: str) -> bool:
    # "51.2 %" and "1,200" are numbers to the eye, and are aligned as such.
    try:
        float(cell.removesuffix("%").replace(",", ""))
    except ValueError:
        return False
    return True


def _is_numeric(cell: str) -> bool:
    return cell in ("", MISSING) or _is_number(cell)


def _pad(cell: str, width: int, at_right: bool) -> str:
    # `cell_len`: a Chinese character is two columns wide.
    space = " " * (width - cell_len(cell))
    return space + cell if at_right else cell + space
