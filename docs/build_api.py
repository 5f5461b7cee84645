"""Builds the API reference from the docstrings: ``python docs/build_api.py docs/api``.

Every public module of the three packages gets a page, and the first page lists them.
"""

import argparse
import importlib
import inspect
import pathlib
import pkgutil
import re
import shutil
import sys
import warnings
from types import ModuleType

import flax.linen as nn
import jinja2
import pdoc.doc
import pdoc.render

HERE = pathlib.Path(__file__).parent
PACKAGES = ("vidtx", "data_pipelines", "experiments")

# Of an annotation of optax's, with a name in it that only optax can look up.
_NOT_OURS = "Import of ArrayTree failed"
_ROLE = re.compile(r":(?:class|func|meth|mod|attr):`~?([^`]+)`")
_TABLE = re.compile(r"^ *=+( +=+)+ *$.*^ *=+( +=+)+ *$", re.MULTILINE | re.DOTALL)


def public_modules() -> list[str]:
    """The dotted names of all modules without an underscore, packages before their modules."""
    names = []
    for package in map(importlib.import_module, PACKAGES):
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        names += [package.__name__, *sorted(module.name for module in found)]
    return [name for name in names if not any(part[0] == "_" for part in name.split("."))]


def as_markdown(docstring: str) -> str:
    """A docstring without Sphinx's roles, its tables of ``====`` as they stand."""
    docstring = _TABLE.sub(lambda table: re.sub("^", "    ", table[0], flags=re.M), docstring)
    return _ROLE.sub(r"`\1`", docstring)


def bare(module: ModuleType) -> ModuleType:
    """The module, with less of what Flax adds to its model classes.

    Flax wraps properties, which hides their docstrings, and gives constructors a ``parent`` whose
    type and default fill more than a line. Names that are imported at their first use are imported
    here, for pdoc to see them.
    """
    for name in getattr(module, "__all__", ()):
        getattr(module, name)
    for model in vars(module).values():
        if not isinstance(model, type) or not issubclass(model, nn.Module) or model is nn.Module:
            continue
        for name, value in list(vars(model).items()):
            if "wrapped" in getattr(value, "__dict__", {}):
                type.__setattr__(model, name, value.wrapped)
        init = inspect.unwrap(model.__init__)
        init.__annotations__["parent"] = nn.Module | None
        init.__defaults__ = tuple(
            None if "Sentinel" in type(value).__name__ else value for value in init.__defaults__
        )
    return module


def pages() -> dict[str, str]:
    """Path → text of all files of the reference; warns of what pdoc warns of."""
    modules = {
        name: pdoc.doc.Module(bare(importlib.import_module(name))) for name in public_modules()
    }
    pdoc.render.configure(docformat="google", template_directory=HERE / "api_templates")
    to_markdown = pdoc.render.env.filters["to_markdown"]
    pdoc.render.env.filters["to_markdown"] = jinja2.pass_context(
        lambda context, text: to_markdown(context, as_markdown(text))
    )
    found = {
        f"{name.replace('.', '/')}.html": pdoc.render.html_module(module, modules)
        for name, module in modules.items()
    }
    index, search = pdoc.render.html_index(modules), pdoc.render.search_index(modules)
    return found | {"index.html": index, "search.js": search}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns 1 if pdoc warns of anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="is made anew")
    folder = parser.parse_args(arguments).folder
    if folder.exists() and not (folder / "search.js").exists():
        parser.error(f"{folder} is there, but holds no API reference; name another folder.")
    sys.path.insert(0, str(HERE.parent))
    public_modules()  # imports; what other libraries warn of meanwhile is no matter of ours
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = pages()
    half = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(half, ignore_errors=True)
    for path, text in found.items():
        (half / path).parent.mkdir(parents=True, exist_ok=True)
        (half / path).write_text(text, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    half.rename(folder)
    texts = dict.fromkeys(str(warning.message) for warning in caught)
    problems = [text for text in texts if _NOT_OURS not in text]
    print(*problems, sep="\n", file=sys.stderr, end="\n" if problems else "")
    print(f"API reference: {folder / 'index.html'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
