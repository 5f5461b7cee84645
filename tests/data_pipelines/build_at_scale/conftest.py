"""Interpreters that have what most environments of vidtx do not: Beam, or TensorFlow."""

import hashlib
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

# What building needs of vidtx's own requirements; no JAX.
_BUILDING = (
    "array-record>=0.8.3",
    "av>=18,<20",
    "etils[epath]>=1.12",
    "importlib-resources>=6",
    "numpy>=2.1",
    "opencv-python-headless>=4.10",
    "tensorflow-datasets>=4.9.9",
)


@pytest.fixture(scope="session")
def interpreter_with(pytestconfig):
    """Returns f(module, requirement) -> path of a Python that has it, or skips the test.

    That is this Python, one named by an environment variable (``VIDTX_APACHE_BEAM_PYTHON``), or one
    of an environment made for the tests and kept in pytest's cache.
    """

    def find(module, requirement):
        named = os.environ.get(f"VIDTX_{module.upper()}_PYTHON")
        if named:
            return named
        if importlib.util.find_spec(module):
            return sys.executable
        wanted = "\n".join((*_BUILDING, requirement, sys.version))
        digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
        folder = pathlib.Path(pytestconfig.cache.mkdir(f"environment-{module}-{digest}"))
        python, whole = folder / "bin" / "python", folder / "whole"
        if not whole.exists():
            try:
                _run(sys.executable, "-m", "venv", "--clear", folder)
                _run(python, "-m", "pip", "install", "--quiet", *_BUILDING, requirement)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no environment with {requirement} can be made: {error.output[-500:]}")
            whole.touch()
        return os.fspath(python)

    return find


def _run(*command):
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
