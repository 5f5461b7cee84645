"""The house's table of who may import whom; an arrow against it is a defect."""

import ast
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

BELOW_THE_DOORS = {
    "data_pipelines", "config", "kernels", "models", "sharding", "checkpoints", "weights",
    "training", "evaluation", "inference", "analysis", "reporting", "distributed", "data_errors",
    "launch", "serving",
}  # fmt: skip

# Every room may import itself, the standard library and, in vidtx, the errors.
MAY_IMPORT = {
    "experiments": set(),
    "data_pipelines": set(),
    "errors": set(),
    "data_errors": {"data_pipelines"},
    "version": set(),
    "config": set(),
    "kernels": set(),
    "launch": set(),
    "models": {"kernels"},
    "sharding": {"config"},
    "checkpoints": {"sharding"},
    "weights": {"models"},
    "training": {"models", "sharding", "checkpoints", "config"},
    "evaluation": {"models", "sharding", "config"},
    "inference": {
        "models",
        "weights",
        "checkpoints",
        "sharding",
        "evaluation",
        "data_pipelines",
        "data_errors",
        "version",
    },
    "analysis": {"models", "training", "sharding", "config", "kernels"},  # it counts their groups
    "reporting": {"config"},
    "run": BELOW_THE_DOORS - {"serving"},
    "serving": {
        "inference",
        "analysis",
        "reporting",
        "run",
        "data_pipelines",
        "data_errors",
        "version",
    },
    "cli": BELOW_THE_DOORS | {"run", "experiments", "main", "vidtx"},
    "main": BELOW_THE_DOORS | {"run", "experiments", "vidtx"},
    "compare": BELOW_THE_DOORS | {"run", "experiments", "vidtx"},
    "vidtx": {"version", "models", "inference"},  # the package's own surface
}

OUTSIDE = {
    "experiments": {"ml_collections"},
    "data_pipelines": {
        "absl", "array_record", "av", "cv2", "einops", "etils", "grain", "numpy", "PIL",
        "tensorflow_datasets",
    },
    "config": {"absl", "ml_collections"},
    "errors": set(),
    "launch": set(),
}  # fmt: skip
NOWHERE = {"torch", "torchvision", "tensorflow", "keras", "clu", "transformers", "timm"}
ORBAX = {"checkpoints"}  # the only room that knows it
BEAM = {"data_pipelines.build.beam"}  # the only file that does
TORCH = {"vidtx.weights.pytorch"}  # likewise, to read its files

FILES = sorted(
    path for folder in ("vidtx", "data_pipelines", "experiments")
    for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip


def room_of(module):
    """The room of a dotted name of ours."""
    top, *rest = module.replace("vidtx.__main__", "vidtx.cli").split(".")
    if top != "vidtx":
        return top
    return rest[0].lstrip("_") if rest else "vidtx"


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path, text):
    """The dotted names that a file imports, with their lines; ``from x import y`` gives x.y."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).parts[: -node.level]
                base = ".".join([*package, *filter(None, [base])])
            yield from ((f"{base}.{name.name}", node.lineno) for name in node.names)


def faults(path, text):
    """Arrows against the table, a line each."""
    room = room_of(module_of(path))
    allowed = MAY_IMPORT[room] | {room} | ({"errors"} if "vidtx" in path.parts else set())
    outside = OUTSIDE.get(room)
    for name, line in imports(path, text):
        top = name.partition(".")[0]
        where = f"{path.relative_to(ROOT)}:{line}: {room} imports {name}"
        if top in ("vidtx", "data_pipelines", "experiments"):
            # ``from vidtx import x`` may name a room or something on the package's surface.
            target = room_of(name)
            if target not in MAY_IMPORT:
                target = "vidtx"
            if target not in allowed:
                yield where
            continue
        refused = {"tests"} | NOWHERE | (set() if room in ORBAX else {"orbax"})
        refused -= {"torch"} if module_of(path) in TORCH else set()
        beam = {"apache_beam"} if module_of(path) in BEAM else set()
        unknown = outside is not None and top not in outside | beam | set(sys.stdlib_module_names)
        if top in refused or unknown:
            yield where


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_arrow_points_against_the_house(path):
    found = list(faults(path, path.read_text()))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("data_pipelines/clips.py", "import jax"),
        ("data_pipelines/clips.py", "def f():\n    from flax import linen"),
        ("data_pipelines/clips.py", "from vidtx.errors import ConfigError"),
        ("data_pipelines/build/shard.py", "import apache_beam as beam"),
        ("experiments/motions.py", "import numpy"),
        ("experiments/motions.py", "from vidtx import config"),
        ("vidtx/config/resolve.py", "import jax"),
        ("vidtx/kernels/attention.py", "from vidtx.models import SCHEMES"),
        ("vidtx/models/block.py", "from vidtx import sharding"),
        ("vidtx/models/block.py", "import vidtx.sharding.mesh as mesh"),
        ("vidtx/models/block.py", "from ..sharding import mesh"),
        ("vidtx/models/block.py", "from .. import sharding"),
        ("vidtx/training/loop.py", "import data_pipelines.loader"),
        ("vidtx/training/loop.py", "from vidtx.run import setup"),
        ("vidtx/evaluation/evaluate.py", "from vidtx.reporting import tables"),
        ("vidtx/evaluation/evaluate.py", "from data_pipelines.loader import Batches"),
        ("vidtx/training/step.py", "import orbax.checkpoint"),
        ("vidtx/run/train.py", "import torch.nn"),
        ("vidtx/run/train.py", "from vidtx import main"),
        ("vidtx/run/train.py", "from tests import conftest"),
        ("vidtx/errors.py", "from vidtx.config import RunSpec"),
        ("vidtx/launch/gke.py", "import jax"),
        ("vidtx/launch/gke.py", "from vidtx.config import load_config"),
    ],
)
def test_an_arrow_against_it_would_be_found(path, text):
    (found,) = faults(ROOT / path, f"# first line\n{text}\n")
    line = 2 + text.count("\n")
    assert found.startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("vidtx/models/block.py", "from vidtx.kernels import Step"),
        ("vidtx/models/block.py", "from .layers import dense"),
        ("vidtx/kernels/attention.py", "from vidtx.errors import VidtxError"),
        ("vidtx/main.py", "from vidtx import run"),
        ("vidtx/run/train.py", "from data_pipelines import motions"),
        ("vidtx/training/loop.py", "import contextlib, jax, numpy as np"),
    ],
)
def test_an_arrow_of_the_table_would_not(path, text):
    assert not list(faults(ROOT / path, text))


def test_the_table_knows_every_room():
    rooms = {room_of(module_of(path)) for path in FILES}
    assert rooms <= MAY_IMPORT.keys()
    assert {"config", "models", "training", "run", "main"} <= rooms


def test_no_arrows_form_a_circle():
    reached = {}

    def visit(room, way):
        assert room not in way, f"{' -> '.join((*way, room))}"
        if room not in reached:
            reached[room] = True
            for target in MAY_IMPORT[room] & MAY_IMPORT.keys():
                visit(target, (*way, room))

    for room in MAY_IMPORT:
        visit(room, ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_too_long_to_be_read(path):
    assert len(path.read_text().splitlines()) <= 300


# Folders that exist on one person's or one company's machine only.
_PARTICULAR = re.compile(r"(?<![\w.])/(?:work|home|root|Users|mnt|scratch|gpfs|content|opt)/")


def test_no_file_names_a_path_of_a_particular_machine():
    own = pathlib.Path(__file__)
    suffixes = {".py", ".toml", ".cfg", ".md", ".yml", ".yaml", ".json", ".sh", ".txt", ""}
    hidden = {
        ".git",
        ".venv",
        ".hypothesis",
        ".pytest_cache",
        ".ruff_cache",
        "runs",
        "data",
        "build",
    }
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(ROOT.rglob("*"))
        if path.is_file() and path.suffix in suffixes and path != own
        and not hidden & set(path.relative_to(ROOT).parts[:1])
        and "__pycache__" not in path.parts
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if _PARTICULAR.search(line)
    ]  # fmt: skip
    assert not found, "\n".join(found)
