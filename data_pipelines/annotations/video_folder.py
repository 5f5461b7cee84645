"""The folder of videos: walked once, then asked for files by name."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator, Sequence

from etils import epath

from data_pipelines.annotations.problems import AnnotationError

__all__ = ["VIDEO_SUFFIXES", "VideoFolder", "is_video", "stem_of"]

# In the order in which one of several files of the same name is taken.
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ts",
    ".mts", ".m2ts", ".3gp", ".ogv", ".vob",
)  # fmt: skip
_RANK = {suffix: rank for rank, suffix in enumerate(VIDEO_SUFFIXES)}


class VideoFolder:
    """All video files under a folder, whose names are read once and no file of which is opened.

    Whatever begins with a dot is passed over. Folders behind symbolic links come after all others
    and are entered unless they have been, so that a loop of links ends and a file has one name.

    Attributes:
        root: The folder.
        files: Video files, relative to the root with ``/`` between names, sorted.
        folders: All folders below the root, likewise.
        others: Number of files that are no videos by their suffix.

    Raises:
        AnnotationError: There is no such folder, or some part of it cannot be read.
    """

    def __init__(self, root: epath.Path):
        self.root = root
        if not root.is_dir():
            what = "is a file, not a folder" if root.exists() else "does not exist"
            raise AnnotationError(
                f"the folder of videos {os.fspath(root)} {what}; --videos must name the folder "
                "below which the video files lie."
            )
        files, folders, others = [], [], 0
        try:
            for folder, names in _walk(os.fspath(root)):
                if folder:
                    folders.append(folder)
                prefix = f"{folder}/" if folder else ""
                for name in names:
                    if name.startswith("."):
                        continue
                    if is_video(name):
                        files.append(prefix + name)
                    else:
                        others += 1
        except OSError as error:
            raise AnnotationError(
                f"the folder of videos {os.fspath(root)} cannot be read ({error}); mend its "
                "permissions, or name another."
            ) from error
        self.files = sorted(files)
        self.folders = sorted(folders)
        self.others = others
        self._by_stem: dict[bool, dict[str, str | list[str]]] = {}
        self._names = frozenset(self.files)

    def __contains__(self, relative: str) -> bool:
        return relative in self._names

    def path(self, relative: str) -> str:
        """Returns the whole path of a file given relative to the root."""
        return f"{os.fspath(self.root).rstrip('/')}/{relative}"

    def find(self, stem: str, prefer: Sequence[str] = (), fold_case: bool = False) -> str | None:
        """Returns the video file of this name, wherever it lies.

        Of several, the one with most of the preferred folders above it is taken, then by suffix in
        the order of `VIDEO_SUFFIXES`, then the first by path.

        Args:
            stem: Its name without suffix.
            prefer: Names of folders.
            fold_case: Whether case does not matter.

        Returns:
            A member of ``files``; None if there is none.
        """
        found = self._stems(fold_case).get(stem.casefold() if fold_case else stem)
        if found is None or isinstance(found, str):
            return found

        def order(relative: str) -> tuple[int, int, str]:
            above = set(relative.split("/")[:-1])
            return -len(above.intersection(prefer)), _RANK[_suffix(relative)], relative

        return min(found, key=order)

    def _stems(self, fold_case: bool) -> dict[str, str | list[str]]:
        """Returns the file or files of each stem; made at first use."""
        if fold_case not in self._by_stem:
            stems: dict[str, str | list[str]] = {}
            for relative in self.files:
                stem = stem_of(relative)
                stem = stem.casefold() if fold_case else stem
                if stem not in stems:
                    stems[stem] = relative
                elif isinstance(stems[stem], str):
                    stems[stem] = [stems[stem], relative]
                else:
                    stems[stem].append(relative)
            self._by_stem[fold_case] = stems
        return self._by_stem[fold_case]


def is_video(name: str) -> bool:
    """Tells whether a file is a video, by its suffix."""
    return _suffix(name) in _RANK


def stem_of(path: str) -> str:
    """Returns a file's name without folders and suffixes; some downloads are ``a.mp4.webm``."""
    name = path.rpartition("/")[2]
    while is_video(name):
        name = name[: -len(_suffix(name))]
    return name


def _suffix(name: str) -> str:
    """Returns what follows the last dot, with it, in lower case."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 and "/" not in name[dot:] else ""


def _walk(root: str) -> Iterator[tuple[str, list[str]]]:
    """Yields (folder relative to the root, names of its files) of each folder."""

    def refuse(error: OSError) -> None:
        raise error

    if "://" in root:
        # A bucket has no links. Its walk may leave out the scheme, and may not heed which folders
        # are to be entered.
        base = root.partition("://")[2].strip("/")
        for folder, _, names in epath.Path(root).walk(on_error=refuse):
            whole = os.fspath(folder).rpartition("://")[2].strip("/")
            relative = whole[len(base) :].strip("/")
            parts = relative.split("/") if relative else []
            if _entered(parts) == sorted(parts):
                yield relative, names
        return
    seen = set()
    starts = collections.deque([""])
    while starts:
        start = starts.popleft()
        for folder, folders, names in os.walk(os.path.join(root, start), onerror=refuse):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = _entered(folders)
            relative = os.path.relpath(folder, root).replace(os.sep, "/")
            relative = "" if relative == "." else relative
            prefix = f"{relative}/" if relative else ""
            # os.walk lists links to folders among the folders and does not enter them.
            links = (name for name in folders if os.path.islink(os.path.join(folder, name)))
            starts.extend(prefix + name for name in links)
            yield relative, names


def _entered(folders: list[str]) -> list[str]:
    """Returns those of some folders that are looked into, in an order that never varies."""
    return sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
