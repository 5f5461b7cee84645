"""The report's page and its pieces of HTML. Everything that comes in as text is escaped here."""

import base64
import string
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from vidtx.reporting.files import Path, read_bytes

# By what the file starts with: a suffix may lie, and the browser will not guess.
_PICTURE_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}

_PAGE = string.Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --paper: #fff; --card: #f6f7f9; --ink: #202124;
  --faint: #5f6368; --line: #e1e4e8; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --card: #1f2227; --ink: #e6e8eb; --faint: #9aa0a8;
    --line: #33373e; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 64rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.6rem 0 .8rem; font-size: 1.1rem; }
p.faint { color: var(--faint); }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: 1.6rem; }
.figure { flex: 1 1 9rem; padding: .9rem 1.1rem; border-radius: 10px; background: var(--card); }
.figure b { display: block; font-size: 1.7rem; line-height: 1.3; font-weight: 600; }
.figure span { color: var(--faint); font-size: .85rem; }
.figure:first-child b { color: var(--accent); }
.picture { padding: .6rem; border: 1px solid var(--line); border-radius: 10px; background: #fff;
  overflow-x: auto; }
.picture img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: .85rem; font-weight: 500; color: var(--faint); }
th, td { padding: .32rem .8rem .32rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
.right { text-align: right; white-space: nowrap; }
.bar { width: 12rem; margin-top: .45rem; border-radius: 3px; background: var(--card); }
.bar i { display: block; height: .55rem; border-radius: 3px; background: var(--accent); }
code, pre { font: .85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { margin: .6rem 0 0; padding: 1rem; border-radius: 10px; background: var(--card);
  overflow-x: auto; }
details > summary { cursor: pointer; color: var(--faint); margin-bottom: .6rem; }
</style>
</head>
<body>
$body
</body>
</html>
""")


def page(title: str, body: Iterable[str]) -> str:
    """Returns the whole page; `body` is HTML already."""
    return _PAGE.substitute(title=escape(title), body="\n".join(body))


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
    """Returns a picture that carries its own bytes.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: If it is neither PNG, JPEG nor GIF.
    """
    data = read_bytes(path)
    for start, kind in _PICTURE_TYPES.items():
        if data.startswith(start):
            source = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
            return f'<div class="picture"><img alt="{escape(description)}" src="{source}"></div>'
    raise ValueError(f"{path} is neither PNG, JPEG nor GIF; a report can show no other pictures.")


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
    return f'<div class="scroll"><table>\n{top}<tbody>\n{body}\n</tbody></table></div>'


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
