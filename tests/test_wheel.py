"""The built wheel works by itself, away from the repository."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel's content, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "runs", "data", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    built = subprocess.run(build, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, wheel]
    subprocess.run(install, check=True, capture_output=True)
    return target


def run(installed, tmp_path, *command):
    return subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )


def test_everything_comes_from_the_wheel_and_finds_its_experiments(installed, tmp_path):
    program = (
        "import vidtx, data_pipelines.motions, experiments, vidtx.main\n"
        "from vidtx.config import experiments as names\n"
        "print(vidtx.__file__, data_pipelines.__file__, experiments.__file__, *names())"
    )
    result = run(installed, tmp_path, "-c", program)
    assert result.returncode == 0, result.stderr
    *files, names = result.stdout.split(maxsplit=3)
    assert all(file.startswith(str(installed)) for file in files)
    files = sorted((ROOT / "experiments").glob("*.py"))
    assert names.split() == [file.stem for file in files if "def get_config" in file.read_text()]
    assert (installed / "vidtx" / "py.typed").exists()
    assert (installed / "vidtx" / "serving" / "page.html").exists()


def test_a_bare_name_needs_no_clone(installed, tmp_path):
    command = ["-m", "vidtx.main", "--config=k400_divided", "--workdir=run"]
    result = run(installed, tmp_path, *command)
    assert result.returncode == 2
    assert "no data set 'kinetics400' in data" in result.stderr
    assert not (tmp_path / "run").exists()
