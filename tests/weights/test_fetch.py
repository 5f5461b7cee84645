"""Models by their names on a Hub: one on this machine, with the answers of the real one."""

import hashlib
import http.server
import json
import threading
import urllib.parse

import pytest
from huggingface_hub import constants

from tests.weights import published
from vidtx.errors import ConfigError, MachineError
from vidtx.weights import fetch, read_foreign

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_NOWHERE = "http://127.0.0.1:9"


class Hub(http.server.ThreadingHTTPServer):
    """Repositories by name to ``{path: content}``; some are not to be had."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories, self.gated, self.asked = {}, set(), []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        path = urllib.parse.urlsplit(self.path).path.strip("/")
        is_api = path.startswith("api/models/")
        owner, name, *rest = path.removeprefix("api/models/").split("/")
        files = self.server.repositories.get(f"{owner}/{name}")
        if f"{owner}/{name}" in self.server.gated:
            return self._say(403, {"X-Error-Code": "GatedRepo"})
        if files is None:
            return self._say(401, {"X-Error-Code": "RepoNotFound"})
        if len(rest) > 1 and rest[1] not in ("main", "v1", COMMIT):
            return self._say(404, {"X-Error-Code": "RevisionNotFound"})
        if is_api and rest[:1] == ["tree"]:
            listing = [
                {"type": "file", "path": path, "size": len(content), "oid": _digest(content)}
                for path, content in files.items()
            ]
            return self._say(200, {}, json.dumps(listing).encode())
        if is_api:
            siblings = [{"rfilename": path} for path in files]
            model = {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": siblings}
            return self._say(200, {}, json.dumps(model).encode())
        content = files["/".join(rest[2:])]
        headers = {"ETag": f'"{_digest(content)}"', "X-Repo-Commit": COMMIT}
        return self._say(200, headers, content)

    def do_HEAD(self):
        self.do_GET()

    def _say(self, status, headers, content=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


def _digest(content):
    return hashlib.sha1(content).hexdigest()


def _reach(monkeypatch, address):
    """What the variable HF_ENDPOINT would do before the library is imported."""
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch):
    server = Hub()
    _reach(monkeypatch, server.address)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _folder(tmp_path):
    ours = published.params("joint", published.GRID)
    folder = published.save_folder(
        tmp_path / "model", published.huggingface(ours), published.config("joint"), {"size": 8}
    )
    return ours, {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_is_fetched_once_and_without_what_is_not_needed(tmp_path, hub, monkeypatch):
    ours, files = _folder(tmp_path)
    rest = {"pytorch_model.bin": b"0", "README.md": b"1", "onnx/model.safetensors": b"2"}
    hub.repositories["owner/a.model"] = files | rest
    folder = fetch("hf:owner/a.model", cache=tmp_path / "cache")
    assert {path.name for path in folder.iterdir()} == files.keys()
    published.assert_equal(read_foreign(folder).params, ours)

    downloads = [path for path in hub.asked if "/resolve/" in path]
    assert fetch("hf:owner/a.model", cache=tmp_path / "cache") == folder
    assert fetch("hf:owner/a.model@v1", cache=tmp_path / "cache") == folder
    assert [path for path in hub.asked if "/resolve/" in path] == downloads

    # A Hub that cannot be reached, and one that is not to be asked.
    _reach(monkeypatch, _NOWHERE)
    for name in ("hf:owner/a.model", "hf:owner/a.model@v1", f"hf:owner/a.model@{COMMIT}"):
        assert fetch(name, cache=tmp_path / "cache") == folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch("hf:owner/a.model", cache=tmp_path / "cache") == folder
    for name in ("hf:owner/a.model@v2", "hf:owner/another"):
        with pytest.raises(MachineError, match="give the folder") as error:
            fetch(name, cache=tmp_path / "cache")
        assert str(error.value).count("cannot be downloaded") == 1


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ({"pytorch_model.bin", "b/c.bin"}, {"pytorch_model.bin"}),
        (
            {
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "other.safetensors",
                "pytorch_model.bin",
            },
            {
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
            },
        ),
        ({"B_16.npz", "a.txt"}, {"B_16.npz"}),
    ],
)
def test_one_form_of_the_weights_is_fetched(tmp_path, hub, there, wanted):
    hub.repositories["o/n"] = dict.fromkeys([*there, "config.json"], b"{}")
    folder = fetch("hf:o/n", cache=tmp_path)
    assert {path.name for path in folder.iterdir()} == wanted | {"config.json"}


def test_what_may_not_be_had_is_told(tmp_path, hub):
    hub.gated.add("o/gated")
    hub.repositories["o/empty"] = {"README.md": b"a", "config.json": b"{}"}
    hub.repositories["o/there"] = {"model.safetensors": b"a"}
    for name, said in (
        ("hf:o/gated", rf"ask for it at {hub.address}/o/gated and log in"),
        ("hf:o/absent", "There is no hf:o/absent on the Hub, or it is private"),
        ("hf:o/there@v9", "o/there has no revision v9"),
        ("hf:o/empty", "has no file of weights"),
    ):
        with pytest.raises(ConfigError, match=said) as error:
            fetch(name, cache=tmp_path)
        assert "download its files elsewhere and give the folder" in str(error.value)


@pytest.mark.parametrize(
    "name", ["hf:bert", "o/n", "hf:o/n/more", "hf:o/n@", "hf:../n", "hf:o/n@../../a", "hf:"]
)
def test_what_is_no_name_is_told(tmp_path, name):
    with pytest.raises(ConfigError, match="hf:OWNER/NAME"):
        fetch(name, cache=tmp_path)


def test_without_a_network_an_unknown_model_is_an_error_with_its_cure(tmp_path, monkeypatch):
    _reach(monkeypatch, _NOWHERE)
    with pytest.raises(MachineError, match="download its files elsewhere and give the folder"):
        fetch("hf:o/n", cache=tmp_path)
