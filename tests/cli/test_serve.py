"""The door of the local page: what is wrong with the command line or the machine."""

import socket
import sys

import pytest


def test_wrong_use_is_told(command, tmp_path):
    assert "--weights" in command("serve", code=2).err
    for option in ("--port=65536", "--port=x", "--max_mb=0", "--timeout=0", "--max_seconds=inf"):
        name, _, value = option.partition("=")
        said = command("serve", "--weights=run", option, code=2).err
        assert name in said
        assert repr(value) in said


def test_a_host_of_another_machine_is_refused(command):
    said = command("serve", "--weights=run", "--host=192.0.2.1", "--port=0", code=2).err
    assert "192.0.2.1" in said
    assert "this machine" in said


def test_a_port_that_is_taken_is_named(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = command("serve", "--weights=run", f"--port={port}", code=7).err
    assert f"Port {port} of 127.0.0.1 is taken" in said
    assert "--port=0" in said


def test_without_its_libraries_the_cure_is_named(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # what Python itself does of what is absent
    told = command("serve", "--weights=run", "--json", code=7)
    assert "uvicorn is not installed" in told.err
    assert "pip install 'vidtx[serve]'" in told.json["error"]["message"]


@pytest.mark.parametrize(("content", "code"), [(None, 2), (b"no weights", 6)])
def test_weights_that_cannot_be_used_have_their_exit_code(command, tmp_path, content, code):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    said = command("serve", f"--weights={path}", "--port=0", code=code).err
    assert str(path) in said
