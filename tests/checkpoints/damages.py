"""Ways in which a file of a checkpoint is damaged."""

import pathlib


def flip(path):
    content = bytearray(path.read_bytes())
    for place in (len(content) // 3, len(content) // 2, 2 * len(content) // 3):
        content[place] ^= 0xFF
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


DAMAGES = {"flip": flip, "truncate": truncate, "empty": empty, "delete": pathlib.Path.unlink}


def break_newest(workdir, step=2, folder="checkpoints"):
    """Damage that is noticed for certain."""
    empty(workdir / folder / str(step) / "state" / "manifest.ocdbt")
