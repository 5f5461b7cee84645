"""Folders of videos and annotation files. Listing opens no video, so that those here are empty."""

import pytest
from etils import epath

from data_pipelines import annotations


@pytest.fixture
def tree(tmp_path):
    """Returns f(folder, files) -> the folder under tmp_path; files a list, or name to content."""

    def make(folder, files):
        root = epath.Path(tmp_path / folder)
        root.mkdir(parents=True, exist_ok=True)
        for name in files:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = files[name] if isinstance(files, dict) else b""
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture
def listed(tree):
    """Returns f(kind, videos, annotations, ...) -> Listing, of files made from their contents."""

    def make(kind, videos, files, name=None, **choices):
        root = tree("videos", videos)
        given = (tree("annotations", files),) if files else ()
        return annotations.list_videos(kind, annotations.Request(root, given, **choices), name)

    return make


@pytest.fixture
def refused(listed):
    """Returns f(as listed) -> the message of the AnnotationError that comes."""

    def make(*args, **choices):
        with pytest.raises(annotations.AnnotationError) as caught:
            listed(*args, **choices)
        return str(caught.value)

    return make


@pytest.fixture
def brief(tmp_path):
    """Returns f(listing) -> {split: [(video_id, path below the videos or None, label), …]}."""
    root = f"{tmp_path}/videos/"

    def make(listing):
        return {
            split: [
                (entry.video_id, entry.path and entry.path.removeprefix(root), entry.label)
                for entry in entries
            ]
            for split, entries in listing.splits.items()
        }

    return make
