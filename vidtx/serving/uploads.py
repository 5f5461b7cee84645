"""A request's body to a file, within bounds of size and time."""

import asyncio
import contextlib
import os
import pathlib
import tempfile
import time
import unicodedata
from collections.abc import AsyncIterator, Mapping

from starlette.types import Receive

from vidtx.serving.limits import Limits, ServingError

__all__ = ["DisconnectedError", "check_announced", "display_name", "received"]

_NAME_LETTERS = 200
_UNNAMED = "video"


class DisconnectedError(Exception):
    """Whoever asked has gone."""


def display_name(text: str | None) -> str:
    """A file's name as a request gives it, fit to be shown: no folders, nothing invisible."""
    name = (text or "").replace("\\", "/").rpartition("/")[2]
    shown = "".join(letter for letter in name if unicodedata.category(letter)[0] != "C")
    return shown.strip()[:_NAME_LETTERS] or _UNNAMED


def check_announced(headers: Mapping[str, str], limits: Limits) -> None:
    """Refuses a body by what its headers say, before any of it is read.

    Raises:
      ServingError: it is too large, empty, or of a kind that no video file is sent as.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise ServingError(
            415,
            "multipart",
            "Send the bytes of the video alone as the body, not a form: curl --data-binary "
            "@clip.mp4 URL.",
        )
    length = headers.get("content-length")
    if length is None:
        return
    if int(length) > limits.max_bytes:  # h11 lets nothing but digits through
        raise _too_large(int(length), limits)
    if int(length) == 0:
        raise _empty()


@contextlib.asynccontextmanager
async def received(
    receive: Receive, limits: Limits, folder: pathlib.Path
) -> AsyncIterator[pathlib.Path]:
    """Gives a file with a request's body, which is deleted afterwards, whatever happens.

    Args:
      receive: of the request.
      limits: of size, of the whole time, and of the time without a byte.
      folder: in which the file is.

    Raises:
      ServingError: the body is too large, empty or slow, or the disk is full.
      DisconnectedError: it breaks off.
    """
    handle, name = tempfile.mkstemp(dir=folder, prefix="upload-")
    path = pathlib.Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            await _receive(receive, limits, file)
        yield path
    finally:
        path.unlink(missing_ok=True)


async def _receive(receive: Receive, limits: Limits, file) -> None:
    size, deadline = 0, time.monotonic() + limits.upload
    more = True
    while more:
        patience = min(limits.idle, deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(receive(), max(patience, 0))
        except TimeoutError:
            raise ServingError(
                408,
                "slow_upload",
                f"The upload brought nothing for {limits.idle:g} seconds, or took more than "
                f"{limits.upload:g}; {size / 1e6:,.1f} MB had come.",
            ) from None
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        block, more = message.get("body", b""), message.get("more_body", False)
        size += len(block)
        if size > limits.max_bytes:
            raise _too_large(size, limits)
        try:
            file.write(block)
        except OSError as error:
            raise ServingError(
                507, "storage", f"The upload cannot be stored ({error.strerror}). Free space there."
            ) from error
    if not size:
        raise _empty()


def _too_large(size: int, limits: Limits) -> ServingError:
    return ServingError(
        413,
        "too_large",
        f"The upload has {size / 1e6:,.1f} MB or more; at most {limits.max_mb:,} MB are taken. "
        "Cut or shrink the video, or start the server with a higher --max_mb.",
    )


def _empty() -> ServingError:
    return ServingError(
        400,
        "empty",
        "The body is empty; send the bytes of a video: curl --data-binary @clip.mp4 URL.",
    )
