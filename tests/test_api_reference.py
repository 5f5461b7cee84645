"""Docstrings: everything public has one, and they make the API reference."""

import html
import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import data_pipelines
import experiments
import vidtx

ROOT = pathlib.Path(__file__).parents[1]
PUBLIC = sorted(
    module.name
    for package in (vidtx, data_pipelines, experiments)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if "._" not in module.name
)


def documented(thing):
    """Whether it needs no docstring or has one of its own, not one that Python wrote for it."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return True  # a table, whose comment stands beside it
    text = thing.__dict__.get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)
    return bool(text) and not text.startswith(f"{thing.__name__}(")


@pytest.mark.parametrize("name", ["vidtx", *PUBLIC])
def test_a_module_and_its_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == name]
    names = {*getattr(module, "__all__", ()), *(key for key in own if key[0] != "_")}
    assert not [key for key in names if not documented(getattr(module, key))]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of the built reference."""
    pytest.importorskip("pdoc", reason="pdoc is of the extra 'docs'")
    folder = tmp_path_factory.mktemp("reference") / "api"
    built = build(folder)
    assert built.returncode == 0, built.stderr
    assert not built.stderr
    return folder


def build(folder):
    command = [sys.executable, ROOT / "docs" / "build_api.py", folder]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, cwd=folder.parent, capture_output=True, text=True)


def text_of(page):
    """What a page shows, in one line."""
    bare = re.sub(r"<(style|script|svg).*?</\1>", " ", page.read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", bare)).split())


def test_every_public_module_has_a_page_that_the_first_page_names(reference):
    index = (reference / "index.html").read_text()
    for name in ["vidtx", "data_pipelines", "experiments", *PUBLIC]:
        page = f"{name.replace('.', '/')}.html"
        assert (reference / page).exists()
        assert f'href="{page}"' in index
    assert not [page for page in reference.rglob("*.html") if page.name.startswith("_")]


def test_a_room_s_page_leads_to_its_modules(reference):
    assert 'href="models/schemes.html"' in (reference / "vidtx" / "models.html").read_text()
    assert 'href="vidtx/training.html"' in (reference / "vidtx.html").read_text()


def test_a_function_has_its_signature_and_its_sections(reference):
    text = text_of(reference / "vidtx.html")
    for part in (
        "def create_model( name: str, *, scheme: str = 'divided'",
        "A model by name, such as timesformer_b16",
        "Arguments: name: timesformer_ + size + patch size in pixels.",
        "Raises: ValueError: an argument out of bounds",
    ):
        assert part in text


def test_a_class_has_its_fields_told_once(reference):
    text = text_of(reference / "vidtx" / "models.html")
    assert "Attributes: name: the name used in configs." in text
    assert "parent: flax.linen.module.Module | None = None" in text
    assert "(T, H, W) of the clips" in text  # a property, which Flax hides
    page = (reference / "vidtx" / "models.html").read_text()
    assert 'id="TimeSformer.__call__"' in page
    assert not re.search(r'id="TimeSformer\.(parent|scope|num_classes)"', page)


def test_no_markup_is_left_over(reference):
    for page in reference.rglob("*.html"):
        for docstring in re.findall(r'<div class="docstring">(.*?)</div>', page.read_text(), re.S):
            prose = re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", docstring, flags=re.DOTALL)
            found = re.search(r"``|={5,}|:class:|:func:|<p>(Args|Raises|Returns):", prose)
            assert not found, f"{page}: {prose}"


@pytest.mark.slow
def test_it_is_built_again_in_its_place_and_in_no_other(reference, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("precious")
    refused = build(tmp_path / "precious")
    assert refused.returncode == 2
    assert "holds no API reference" in refused.stderr
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["thesis.tex"]
    (reference / "old.html").write_text("old")
    assert build(reference).returncode == 0
    assert not (reference / "old.html").exists()
