"""Confusions on the page: a table of coloured cells, or a picture where there are many classes."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from vidtx.reporting.tables import percent

LARGEST_TABLE = 30  # classes

# A blue that is seen on white and on black; how opaque a cell is tells its share.
_BLUE = (42, 140, 208)
_GREY = (128, 134, 140, 70)  # of classes without any video


def confusion_matrix(matrix: np.ndarray, names: Sequence[str]) -> str:
    """Shows a confusion matrix.

    Args:
      matrix: counts [C, C]; row: true class, column: predicted class.
      names: C names.

    Returns:
      HTML: up to 30 classes a table with names and counts, beyond a picture of as many pixels as
      the matrix has cells.

    Raises:
      ValueError: If the matrix is not C by C.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(names), len(names)):
        raise ValueError(f"The confusion matrix is {list(matrix.shape)} for {len(names)} names.")
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.where(totals == 0, 1, totals)
    return (_table if len(names) <= LARGEST_TABLE else _picture)(matrix, shares, names)


def _table(matrix: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> str:
    names = [escape(str(name)) for name in names]
    head = "".join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    rows = []
    for true, name in enumerate(names):
        cells = "".join(
            f'<td style="--share:{shares[true, seen]:.3f}" title="{name} taken for {names[seen]}: '
            f'{count:,} of {matrix[true].sum():,}, {percent(shares[true, seen])}">{count:,}</td>'
            if count
            else "<td></td>"
            for seen, count in enumerate(matrix[true])
        )
        kind = "" if matrix[true].sum() else ' class="none"'
        rows.append(f'<tr{kind}><th scope="row">{name}</th>{cells}</tr>')
    return (
        '<p class="faint">Rows: the true class. Columns: what it was taken for. The stronger the '
        "blue, the larger the share of the row.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">'
        f'<table class="confusion">\n<thead><tr><td></td>{head}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _picture(matrix: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> str:
    pixels = np.zeros((*matrix.shape, 4), np.uint8)
    pixels[..., :3] = _BLUE
    # Stretched, so that rare confusions show.
    pixels[..., 3] = np.round(np.sqrt(shares) * 255)
    pixels[matrix.sum(axis=1) == 0] = _GREY
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "png", optimize=True)
    source = base64.b64encode(file.getvalue()).decode("ascii")
    right = percent(float(np.trace(matrix) / max(matrix.sum(), 1)))
    return (
        f'<figure class="dense"><img alt="Confusion matrix of {len(names)} classes; {right} of the '
        f'videos lie on its diagonal." src="data:image/png;base64,{source}">'
        f"<figcaption>From top to bottom: the true class, 0 to {len(names) - 1}. From left to "
        "right: what it was taken for. The stronger the blue, the larger the share of the row; "
        "rare confusions are strengthened (square root).</figcaption></figure>"
    )
