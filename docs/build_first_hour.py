"""Runs the first hour and writes what it prints: ``python docs/build_first_hour.py``.

Every command of ``first_hour.md`` is run in order, in an empty folder. What a command prints comes
into the page, pictures come into ``images/``, and the page becomes the notebook
``first_hour.ipynb``, which is run from its first cell to its last.

In the page, a block of ``bash`` is run. ``<!-- prints -->`` says that the block of ``text`` below
it is what was printed, and ``<!-- prints: PATTERN -->`` that it is those lines of it in which the
pattern is found. ``<!-- made: FILE -->`` says which file the picture below it is.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent
PAGE = HERE / "first_hour.md"
NOTEBOOK = HERE / "first_hour.ipynb"

# In the place of the folder that the commands were run in.
_SOMEWHERE = "~/first_hour"

_PARTS = re.compile(
    r"^```bash\n(?P<bash>.*?)^```\n"
    r"|^<!-- prints(?:: (?P<pattern>.*?))? -->\n```text\n(?P<text>.*?)^```\n"
    r"|^<!-- made: (?P<made>.*?) -->\n!\[(?P<alt>.*?)\]\((?P<picture>.*?)\)\n",
    re.MULTILINE | re.DOTALL,
)

_INSTALL = """\
# On Colab vidtx is not there yet. If no package index that you can reach has it, clone or upload
# the repository and put its path in the place of the name.
import importlib.util

if importlib.util.find_spec("vidtx") is None:
    %pip install --quiet vidtx
"""


class Part(NamedTuple):
    """A part of the page.

    Attributes:
      kind: ``prose``, ``bash``, ``prints`` or ``picture``.
      source: the part as it stands in the page.
      body: the words, the commands, the printed lines, or the name of the file.
      detail: of ``prints`` the pattern, of ``picture`` where it is in ``docs/``; else empty.
      title: of ``picture``, the words that stand for it.
    """

    kind: str
    source: str
    body: str
    detail: str = ""
    title: str = ""


def parts_of(page: str) -> Iterator[Part]:
    """The parts of a page, in order; joined, their sources are the page."""
    end = 0
    for found in _PARTS.finditer(page):
        if before := page[end : found.start()]:
            yield Part("prose", before, before)
        end = found.end()
        source, group = found[0], found.groupdict()
        if group["bash"] is not None:
            yield Part("bash", source, group["bash"])
        elif group["text"] is not None:
            yield Part("prints", source, group["text"], group["pattern"] or "")
        else:
            yield Part("picture", source, group["made"], group["picture"], group["alt"])
    if rest := page[end:]:
        yield Part("prose", rest, rest)


def environment() -> dict[str, str]:
    """That of the commands: this Python and its `vidtx` first, and this copy of the project."""
    paths = [os.fspath(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",  # what two streams print then comes in the order it was printed
    }


def run(commands: str, folder: pathlib.Path) -> str:
    """What a block of commands prints to both streams, as a terminal would show it.

    Raises:
      RuntimeError: one of them fails, and the block does not expect it.
    """
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{commands}\nended with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout


def shown(printed: str, pattern: str, folder: pathlib.Path) -> str:
    """The lines of it that the page shows, with ``…`` for those between them."""
    lines: list[str] = []
    for line in printed.replace(os.fspath(folder), _SOMEWHERE).splitlines():
        if re.search(pattern, line):
            lines.append(line.rstrip())
        elif lines and lines[-1] != "…":
            lines.append("…")
    return "".join(f"{line}\n" for line in lines).removesuffix("…\n")


def run_page(page: str, folder: pathlib.Path) -> str:
    """The page with what its commands print now; copies the pictures that they make.

    Args:
      page: its text.
      folder: an empty folder, in which they are run.

    Raises:
      RuntimeError: a command fails.
      OSError: a picture was not made.
    """
    written, printed = [], ""
    for part in parts_of(page):
        if part.kind == "bash":
            print(part.body, flush=True)
            printed = run(part.body, folder)
        elif part.kind == "picture":
            shutil.copy(folder / part.body, HERE / part.detail)
        elif part.kind == "prints":
            text = shown(printed, part.detail, folder)
            written.append(part.source.replace(f"```text\n{part.body}", f"```text\n{text}"))
            continue
        written.append(part.source)
    return "".join(written)


def notebook_of(page: str):
    """The page as a notebook that was not run: an `nbformat.NotebookNode`.

    What was printed is left out, as the cells print it anew; pictures are shown by a cell.
    """
    import nbformat.v4 as form

    cells = []
    for part in parts_of(page):
        if part.kind == "prose":
            for section in re.split(r"^(?=## )", part.body, flags=re.MULTILINE):
                if section.strip():
                    cells.append(form.new_markdown_cell(section.strip()))
        elif part.kind == "bash":
            cells.append(form.new_code_cell(f"%%bash\n{part.body.rstrip()}"))
        elif part.kind == "picture":
            program = f'from IPython.display import Image\n\nImage("{part.body}")'
            cells.append(form.new_code_cell(program))
    cells.insert(1, form.new_code_cell(_INSTALL.rstrip()))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # not random: the same page gives the same notebook
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return form.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def run_notebook(notebook, folder: pathlib.Path) -> None:
    """Runs a notebook in an empty folder, and keeps in it what its cells give.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell fails.
    """
    import nbclient

    os.environ.update(environment())
    client = nbclient.NotebookClient(
        notebook,
        timeout=3600,
        resources={"metadata": {"path": folder}},
        coalesce_streams=True,  # a path may be printed in two pieces
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        for output in cell.get("outputs", ()):
            if "text" in output:
                output.text = output.text.replace(os.fspath(folder), _SOMEWHERE)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if a command of the page fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("page", "notebook"), help="writes one of the two")
    options = parser.parse_args(arguments)
    try:
        if options.only != "notebook":
            with tempfile.TemporaryDirectory() as folder:
                PAGE.write_text(run_page(PAGE.read_text(), pathlib.Path(folder)))
        if options.only != "page":
            import nbformat

            notebook = notebook_of(PAGE.read_text())
            with tempfile.TemporaryDirectory() as folder:
                run_notebook(notebook, pathlib.Path(folder))
            nbformat.write(notebook, NOTEBOOK)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
