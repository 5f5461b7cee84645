"""The report's page and its pieces of HTML. Everything that comes in as text is escaped here."""

import base64
import io
import string
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from PIL import Image

from vidtx.reporting._style import STYLE
from vidtx.reporting.files import Path, read_bytes

# By what the file starts with: a suffix may lie, and the browser will not guess.
_PICTURE_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}

_MOST_BYTES = 500_000
_LONGEST_SIDE = 1400  # pixels

_PAGE = string.Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def page(title: str, body: Iterable[str]) -> str:
    """Returns the whole page; `body` is HTML already."""
    return _PAGE.substitute(title=escape(title), style=STYLE, body="\n".join(body))


def section(title: str, *content: str) -> str:
    """Returns a heading and what belongs below it (HTML); nothing when that is empty."""
    inner = "\n".join(part for part in content if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{inner}\n</section>" if inner else ""


def paragraph(text: str) -> str:
    """Returns a line of small importance."""
    return f'<p class="faint">{escape(text)}</p>'


def figures(named: Mapping[str, str]) -> str:
    """Returns the headline figures, name → figure; the first one stands out."""
    cards = (
        f'<div class="figure"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in named.items()
    )
    return f'<div class="figures">{"".join(cards)}</div>' if named else ""


def picture(path: Path, description: str) -> str:
    """Returns a picture that carries its own bytes; a large one shrunk, as JPEG.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: If it is neither PNG, JPEG nor GIF.
    """
    data = read_bytes(path)
    for start, kind in _PICTURE_TYPES.items():
        if data.startswith(start):
            kind, data = _shrunk(kind, data)
            source = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
            return f'<div class="picture"><img alt="{escape(description)}" src="{source}"></div>'
    raise ValueError(f"{path} is neither PNG, JPEG nor GIF; a report can show no other pictures.")


def _shrunk(kind: str, data: bytes) -> tuple[str, bytes]:
    """A picture's type and bytes, of no more bytes than a page should carry."""
    side = _LONGEST_SIDE
    while len(data) > _MOST_BYTES and side >= 200:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        picture.thumbnail((side, side * 4))  # sheets are long
        file = io.BytesIO()
        picture.save(file, "jpeg", quality=80, optimize=True)
        kind, data, side = "image/jpeg", file.getvalue(), side * 3 // 4
    return kind, data


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()
) -> str:
    """Returns a table of texts; the columns numbered in `right` are set to the right."""
    return raw_table(headers, ([escape(cell) for cell in row] for row in rows), right=right)


def raw_table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()
) -> str:
    """Returns a table of cells that are HTML already."""
    marks = [' class="right"' if i in right else "" for i in range(len(headers))]
    head = "".join(f"<th{m}>{escape(h)}</th>" for m, h in zip(marks, headers, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{m}>{c}</td>" for m, c in zip(marks, row, strict=True)) + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>\n" if any(headers) else ""
    return f'<div class="scroll" tabindex="0"><table>\n{top}<tbody>\n{body}\n</tbody></table></div>'


def bar(share: float | None) -> str:
    """Returns a bar as long as `share`, which lies between 0 and 1; nothing for None."""
    if share is None:
        return ""
    return f'<div class="bar"><i style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></i></div>'


def collapsed(summary: str, content: str, *, opened: bool = False) -> str:
    """Returns `content` (HTML) behind a line to click on."""
    state = " open" if opened else ""
    return f"<details{state}><summary>{escape(summary)}</summary>\n{content}\n</details>"


def preformatted(text: str) -> str:
    """Returns text in a fixed-width font, its lines kept."""
    return f"<pre>{escape(text)}</pre>"
