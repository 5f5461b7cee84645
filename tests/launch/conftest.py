"""The command as a function, and stand-ins of what it calls."""

import types

import pytest

from tests.launch.fakes import Fakes
from vidtx.cli import main


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Stand-ins first on PATH, with an empty folder as the working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Fakes(tmp_path / "fakes", monkeypatch)


@pytest.fixture
def command(capfd):
    """Returns f(*arguments, code=0) -> what a command and those it calls print: out and err."""

    def run(*arguments, code=0):
        capfd.readouterr()
        assert main(list(arguments)) == code, capfd.readouterr().err
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return types.SimpleNamespace(out=out, err=err)

    return run
