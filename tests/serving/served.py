"""A server as a process of its own, and asking it without a browser."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import types

from tests.tiny_run import environment

_START_SECONDS = 240


@contextlib.contextmanager
def serving(weights, folder, *options, **variables):
    """Starts ``vidtx serve``; gives its process, address and what it told when it was ready.

    Args:
      weights: of the model.
      folder: for the temporary files of the server, which is to leave none, and for its log.
      *options: of the command.
      **variables: of the environment.
    """
    folder = pathlib.Path(folder)
    temporary, log = folder / "temporary", folder / "log"
    temporary.mkdir()
    command = [sys.executable, "-m", "vidtx", "serve", f"--weights={weights}", "--port=0"]
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            [*command, "--json", *options],
            env=environment(1) | {"TMPDIR": str(temporary)} | variables,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        told = json.loads(line)
        yield types.SimpleNamespace(
            process=process, told=told, port=told["port"], temporary=temporary, log=log
        )
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(60)
        finally:
            process.kill()
    assert code == 0, log.read_text()
    assert files(temporary) == []


def ask(server, method, path, body=None, headers=None, **changes):
    """One request: its status, headers, and body, read as JSON where it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=headers or {}, **changes)
        return read(connection)


def read(connection):
    """The answer of a request that was made."""
    got = connection.getresponse()
    content = got.read()
    if got.headers.get_content_type() == "application/json":
        content = json.loads(content)
    return types.SimpleNamespace(status=got.status, headers=got.headers, body=content)


def begin(server, path, headers):
    """A connection on which a POST has begun, and whose body is still to come."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, str(value))
    connection.endheaders()
    return connection


def children(process):
    """Numbers of the processes that a process has started."""
    pid = process.pid
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def files(folder):
    """All files below a folder."""
    return [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]


def is_there(pid):
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
