"""The folder of videos: walked once, then asked for files by name."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator, Sequence

from etils import epath

from data_pipelines.annotations.problems import AnnotationError

__all__ = ["VIDEO_SUFFIXES", "VideoFolder", "absolute", "is_video", "stem_of"]

# In the order in which one of several files of the same name is taken.
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ts",
    ".mts", ".m2ts", ".3gp", ".ogv", ".vob",
)  # fmt: skip
_RANK = {suffix: rank for rank, suffix in enumerate(VIDEO_SUFFIXES)}

_SHOWN = 5  # suffixes that are named where there are many

# By these a folder is known that holds a data set, finished or not.
_BUILDING = ".building"  # data_pipelines.shards.BUILDING, which imports TFDS
_INFO = "dataset_info.json"
_SHARD = ".array_record-"


class VideoFolder:
    """All video files under a folder, whose names are read once and no file of which is opened.

    Whatever begins with a dot is passed over, and so are data sets, as `vidtx data build` may be
    told to build into this very folder. Folders behind symbolic links come after all others and are
    entered unless they have been, so that a loop of links ends and a file has one name.

    Attributes:
        root: The folder, absolute.
        files: Video files, relative to the root with ``/`` between names, sorted.
        folders: All folders below the root, likewise, but for those that hold data sets alone.
        others: Number of files that are no videos by their suffix.

    Raises:
        AnnotationError: There is no such folder, or some part of it cannot be read.
    """

    def __init__(self, root: epath.Path):
        self.root = absolute(root)
        if not root.is_dir():
            what = "is a file, not a folder" if root.exists() else "does not exist"
            raise AnnotationError(
                f"the folder of videos {os.fspath(root)} {what}; --videos must name the folder "
                "below which the video files lie."
            )
        files, folders, built = [], [], set()
        suffixes = collections.Counter()
        try:
            for folder, inside, names in _walk(os.fspath(self.root)):
                if folder and (not built.isdisjoint(_upwards(folder)) or _is_built(inside, names)):
                    built.add(folder)
                    continue
                folders.append(folder)
                prefix = f"{folder}/" if folder else ""
                for name in names:
                    if name.startswith("."):
                        continue
                    if is_video(name):
                        files.append(prefix + name)
                    else:
                        suffixes[_suffix(name)] += 1
        except OSError as error:
            raise AnnotationError(
                f"the folder of videos {os.fspath(root)} cannot be read ({error}); mend its "
                "permissions, or name another."
            ) from error
        self.files = sorted(files)
        # Above a data set lie the folder of its versions and that of all data sets.
        beside = {above for folder in built for above in _upwards(folder)}
        if beside:
            beside -= {above for file in files for above in _upwards(file)}
        self.folders = sorted(folder for folder in folders if folder and folder not in beside)
        self.others = suffixes.total()
        self._suffixes = suffixes
        self._by_stem: dict[bool, dict[str, str | list[str]]] = {}
        self._names = frozenset(self.files)

    def __contains__(self, relative: str) -> bool:
        return relative in self._names

    def path(self, relative: str) -> str:
        """Returns the whole path of a file given relative to the root."""
        return f"{os.fspath(self.root).rstrip('/')}/{relative}"

    def notes(self) -> list[str]:
        """Returns what a person should know of files that are passed over, a sentence each."""
        if not self.others:
            return []
        count = "1 file" if self.others == 1 else f"{self.others} files"
        verb = "is none by its suffix" if self.others == 1 else "are none by their suffix"
        ranked = sorted(self._suffixes, key=lambda suffix: (-self._suffixes[suffix], suffix))
        named = [suffix for suffix in ranked if suffix]
        more = " and others" if len(named) > _SHOWN else ""
        which = f": {', '.join(named[:_SHOWN])}{more}" if named else ""
        return [f"{count} among the videos {verb}{which}."]

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


def absolute(path: epath.Path) -> epath.Path:
    """Returns a path that means the same wherever a process works; one in a bucket as it is."""
    text = os.fspath(path)
    return path if "://" in text else epath.Path(os.path.abspath(text))


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


def _upwards(path: str) -> Iterator[str]:
    """Yields the folders above a relative path, the root left out."""
    while path := path.rpartition("/")[0]:
        yield path


def _is_built(folders: Sequence[str], names: Sequence[str]) -> bool:
    """Tells whether a folder that holds these is that of a data set, or of an unfinished one."""
    return _INFO in names or _BUILDING in folders or any(_SHARD in name for name in names)


def _walk(root: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields (folder relative to the root, names of its folders, of its files) of each folder."""

    def refuse(error: OSError) -> None:
        raise error

    if "://" in root:
        # A bucket has no links. Its walk may leave out the scheme, and may not heed which folders
        # are to be entered.
        base = root.partition("://")[2].strip("/")
        for folder, folders, names in epath.Path(root).walk(on_error=refuse):
            whole = os.fspath(folder).rpartition("://")[2].strip("/")
            relative = whole[len(base) :].strip("/")
            parts = relative.split("/") if relative else []
            if _entered(parts) == sorted(parts):
                # Some end a folder's name with a slash.
                yield relative, [name.strip("/") for name in folders], names
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
            inside = list(folders)
            folders[:] = _entered(folders)
            relative = os.path.relpath(folder, root).replace(os.sep, "/")
            relative = "" if relative == "." else relative
            prefix = f"{relative}/" if relative else ""
            # os.walk lists links to folders among the folders and does not enter them.
            links = (name for name in folders if os.path.islink(os.path.join(folder, name)))
            starts.extend(prefix + name for name in links)
            yield relative, inside, names


def _entered(folders: list[str]) -> list[str]:
    """Returns those of some folders that are looked into, in an order that never varies."""
    return sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
