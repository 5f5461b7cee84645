"""A store of objects in memory that takes the place of gcsfs, and can do no more than a bucket."""

import io

import fsspec


class ObjectStore(fsspec.AbstractFileSystem):
    """Objects with ``/`` in their names: no folders, no appends, nothing seen before it is whole.

    Attributes:
      objects: BUCKET/NAME to bytes.
      uploads: names in the order in which they were written.
      down: whether every request fails, as without a network.
    """

    protocol = ("gs", "gcs")
    cachable = False
    objects: dict[str, bytes]
    uploads: list[str]
    down: bool

    def _answer(self):
        if type(self).down:
            raise ConnectionError("the network is down")

    def ls(self, path, detail=True, **_):
        self._answer()
        path = self._strip_protocol(path)
        found = {}
        for name, data in self.objects.items():
            if name == path:
                found[name] = {"name": name, "size": len(data), "type": "file"}
            elif name.startswith(f"{path}/"):
                rest, below, _ = name.removeprefix(f"{path}/").partition("/")
                kind = "directory" if below else "file"
                child = f"{path}/{rest}"
                found[child] = {"name": child, "size": len(data) * (not below), "type": kind}
        if not found and "/" in path:
            raise FileNotFoundError(path)
        return list(found.values()) if detail else sorted(found)

    def info(self, path, **_):
        path = self._strip_protocol(path)
        (first, *_) = self.ls(path) or [{}]
        if first.get("name") == path:
            return first
        return {"name": path, "size": 0, "type": "directory"}

    def _open(self, path, mode="rb", **_):
        self._answer()
        path = self._strip_protocol(path)
        if mode == "rb":
            if path not in self.objects:
                raise FileNotFoundError(path)
            return io.BytesIO(self.objects[path])
        if mode != "wb":
            raise NotImplementedError(f"{mode=}: an object is written as a whole")
        return _Upload(self, path)

    def mkdir(self, path, create_parents=True, **_):
        pass

    makedirs = mkdir

    def rm_file(self, path):
        del self.objects[self._strip_protocol(path)]


class _Upload(io.BytesIO):
    def __init__(self, store, path):
        super().__init__()
        self._store, self._path = store, path

    def close(self):
        if not self.closed:
            self._store.uploads.append(self._path)
            self._store.objects[self._path] = self.getvalue()
        super().close()
