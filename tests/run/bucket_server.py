"""A server that speaks as much of Cloud Storage's JSON API as the libraries of a run ask for.

Written after https://cloud.google.com/storage/docs/json_api/v1. As in the real store, objects have
generations, appear whole and at once, and there are no folders and no appends. Whatever is asked of
a bucket named ``forbidden-…`` is refused; of one named ``private-…``, what it is like. Buckets that
were not made are not there.
"""

import base64
import contextlib
import dataclasses
import email.parser
import email.policy
import hashlib
import http.server
import itertools
import json
import re
import sys
import threading
import urllib.parse

_METADATA, _OBJECT = "/storage/v1/b/([^/]+)", "/o/(.+)"
_UPLOAD = "/(?:resumable/)?upload/storage/v1/b/([^/]+)/o"


class RefusedError(Exception):
    """A request that fails, with its HTTP status."""


@dataclasses.dataclass
class Stored:
    """An object: its bytes and what the store notes of it."""

    bucket: str
    name: str
    data: bytes
    generation: int

    def resource(self):
        """Its description, as the API gives it."""
        md5 = base64.b64encode(hashlib.md5(self.data).digest()).decode()
        now = "2026-01-01T00:00:00.000Z"
        return {
            "kind": "storage#object", "bucket": self.bucket, "name": self.name,
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "generation": str(self.generation), "metageneration": "1", "md5Hash": md5,
            "etag": str(self.generation), "size": str(len(self.data)),
            "contentType": "application/octet-stream", "storageClass": "STANDARD",
            "timeCreated": now, "updated": now,
        }  # fmt: skip


class Store:
    """What is in the buckets; every method is one atomic request."""

    def __init__(self, *buckets):
        self.buckets = {bucket: {} for bucket in buckets}
        self.forbidden = None  # a pattern of names that nobody may read or write
        self._lock = threading.RLock()
        self._generations = itertools.count(1_000)

    def names(self, bucket):
        """Names of all objects."""
        with self._lock:
            return sorted(self.buckets[bucket])

    def bucket(self, name, of=""):
        """The objects of a bucket, one of which is to be used."""
        if name.startswith("forbidden-") or (self.forbidden and re.search(self.forbidden, of)):
            raise RefusedError(403, "The caller does not have storage.objects access.")
        if name not in self.buckets:
            raise RefusedError(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def get(self, bucket, name, query):
        """An object that fulfils the preconditions."""
        with self._lock:
            found = self.bucket(bucket, name).get(name)
            wanted = query.get("generation")
            if found is None or (wanted and int(wanted) != found.generation):
                raise RefusedError(404, f"No such object: {bucket}/{name}")
            self._check(found, query)
            if query.get("ifGenerationNotMatch") == str(found.generation):
                raise RefusedError(304, "")
            return found

    def put(self, bucket, name, data, query):
        """Makes or replaces an object."""
        with self._lock:
            objects = self.bucket(bucket, name)
            self._check(objects.get(name), query)
            objects[name] = Stored(bucket, name, bytes(data), next(self._generations))
            return objects[name]

    def delete(self, bucket, name, query):
        """Deletes an object."""
        with self._lock:
            self.get(bucket, name, query)
            del self.buckets[bucket][name]

    def list(self, bucket, query):
        """A page of objects and prefixes."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        first, end = query.get("startOffset", ""), query.get("endOffset")
        after, limit = query.get("pageToken", ""), int(query.get("maxResults", 1000))
        items, prefixes, token = [], [], None
        with self._lock:
            for name, found in sorted(self.bucket(bucket).items()):
                if not name.startswith(prefix) or name < first or (end and name >= end):
                    continue
                rest = name.removeprefix(prefix)
                common = None
                if delimiter and delimiter in rest:
                    common = prefix + rest.partition(delimiter)[0] + delimiter
                if (common or name) <= after or common in prefixes:
                    continue
                if len(items) + len(prefixes) == limit:
                    token = max([item["name"] for item in items] + prefixes)
                    break
                if common:
                    prefixes.append(common)
                else:
                    items.append(found.resource())
        more = {"nextPageToken": token} if token else {}
        return {"kind": "storage#objects", "items": items, "prefixes": prefixes} | more

    def _check(self, found, query):
        wanted = query.get("ifGenerationMatch")
        if wanted is not None and int(wanted) != (found.generation if found else 0):
            raise RefusedError(412, "At least one of the pre-conditions did not hold.")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: two would wait for each other

    def _answer(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.body = self._body()
        try:
            for method, pattern, act in _ROUTES:
                found = re.fullmatch(pattern, url.path)
                if found and self.command in method:
                    act(self, *map(urllib.parse.unquote, found.groups()))
                    return
            raise RefusedError(501, f"not known here: {self.command} {self.path}")
        except RefusedError as refused:
            code, message = refused.args
            self._send({"error": {"code": code, "message": message}}, code)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815

    def _body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, content, code=200, **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        self.send_response(code)
        sized = {"Content-Length": str(len(data)), "Content-Type": kind}
        for name, value in (sized | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if code not in (204, 304):
            self.wfile.write(data)

    @property
    def _store(self):
        return self.server.store

    def describe_bucket(self, bucket):
        self._store.bucket(bucket)
        if bucket.startswith("private-"):
            raise RefusedError(403, "The caller does not have storage.buckets.get access.")
        self._send({"kind": "storage#bucket", "id": bucket, "name": bucket, "location": "HERE"})

    def describe_layout(self, bucket):
        self._store.bucket(bucket)
        self._send({"bucket": bucket, "locationType": "region"})

    def list(self, bucket):
        self._send(self._store.list(bucket, self.query))

    def read(self, bucket, name):
        found = self._store.get(bucket, name, self.query)
        if self.query.get("alt") != "media":
            self._send(found.resource())
            return
        data, code, extra = found.data, 200, {"x_goog_generation": str(found.generation)}
        if wanted := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            first, last = wanted.groups()
            start = int(first) if first else max(0, len(data) - int(last))
            stop = min(len(data), int(last) + 1 if first and last else len(data))
            if start >= len(data):
                raise RefusedError(416, "The requested range cannot be satisfied.")
            extra["Content_Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            data, code = data[start:stop], 206
        self._send(data, code, **extra)

    def upload(self, bucket):
        kind = self.query.get("uploadType", "media")
        if kind == "media":
            name, data = self.query["name"], self.body
        elif kind == "multipart":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parser = email.parser.BytesParser(policy=email.policy.HTTP)
            metadata, media = parser.parsebytes(head + self.body).iter_parts()
            name = json.loads(metadata.get_payload(decode=True)).get("name", self.query.get("name"))
            data = media.get_payload(decode=True)
        elif "upload_id" in self.query:
            self._continue_upload()
            return
        else:
            name = json.loads(self.body or b"{}").get("name", self.query.get("name"))
            self._store.bucket(bucket)
            number = str(next(self.server.numbers))
            self.server.uploads[number] = (bucket, name, self.query, bytearray())
            place = f"http://{self.headers['Host']}{self.path}&upload_id={number}"
            self._send({}, Location=place)
            return
        self._send(self._store.put(bucket, name, data, self.query).resource())

    def _continue_upload(self):
        bucket, name, query, data = self.server.uploads[self.query["upload_id"]]
        data += self.body
        total = self.headers.get("Content-Range", f"*/{len(data)}").rpartition("/")[2]
        if total == "*" or int(total) > len(data):
            received = {"Range": f"bytes=0-{len(data) - 1}"} if data else {}
            self._send(b"", 308, **received)
            return
        self._send(self._store.put(bucket, name, data, query).resource())

    def delete(self, bucket, name):
        self._store.delete(bucket, name, self.query)
        self._send(b"", 204)

    def rewrite(self, bucket, name, target_bucket, target):
        data = self._store.get(bucket, name, {}).data
        resource = self._store.put(target_bucket, target, data, self.query).resource()
        self._send({"kind": "storage#rewriteResponse", "done": True, "resource": resource})

    def move(self, bucket, name, target):
        data = self._store.get(bucket, name, {}).data
        resource = self._store.put(bucket, target, data, self.query).resource()
        self._store.delete(bucket, name, {})
        self._send(resource)

    def log_message(self, *_):
        pass


_ROUTES = (
    ("GET", _METADATA, _Handler.describe_bucket),
    ("GET", f"{_METADATA}/storageLayout", _Handler.describe_layout),
    ("GET", f"{_METADATA}/o", _Handler.list),
    ("POST", f"{_METADATA}/o/([^/]+)/(?:rewriteTo|copyTo)/b/([^/]+)/o/(.+)", _Handler.rewrite),
    ("POST", f"{_METADATA}/o/([^/]+)/moveTo/o/(.+)", _Handler.move),
    ("GET", f"(?:/download)?{_METADATA}{_OBJECT}", _Handler.read),
    ("DELETE", f"{_METADATA}{_OBJECT}", _Handler.delete),
    (("POST", "PUT"), _UPLOAD, _Handler.upload),
)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that was killed hangs up in the middle."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving(*buckets):
    """Serves a store of so many empty buckets; yields it and the server's address."""
    server = _Server(("localhost", 0), _Handler)
    server.store, server.uploads, server.numbers = Store(*buckets), {}, itertools.count(1)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.store, f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
