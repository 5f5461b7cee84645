"""Reads a JSON file one entry at a time, however large it is, and knows the line of each."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterator

from etils import epath

from data_pipelines.annotations.problems import AnnotationError, place, readable

__all__ = ["read_json", "read_json_entries"]

_CHUNK = 1 << 20  # bytes
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
# A value that is cut off fails within so many characters of where it is cut, "-Infinity" being the
# longest word, unless it is cut within a string.
_CUT = 12


def read_json_entries(
    path: epath.Path, container: str, chunk: int = _CHUNK
) -> Iterator[tuple[int, str, object]]:
    """Yields the entries of a file that is one JSON list, or one JSON object.

    Holds a piece of the file and the largest entry, and no more.

    Args:
        path: The file, UTF-8.
        container: ``[`` for a list, ``{`` for an object.
        chunk: Bytes that are read at a time.

    Yields:
        (line where the entry begins, its key, its value); a list's keys are ``0``, ``1``, ….

    Raises:
        AnnotationError: It is not such a file, breaks off, or cannot be read.
    """
    with readable(path), path.open("rb") as file:
        text = _Text(path, file, chunk)
        if text.peek() != container:
            raise text.error({"[": "a list, [ … ]", "{": "an object, { … }"}[container])
        text.skip()
        closing = {"[": "]", "{": "}"}[container]
        index = 0
        while text.peek() != closing:
            if index:
                if text.peek() != ",":
                    raise text.error(f"a comma, or {closing}")
                text.skip()
            text.peek()
            line, key = text.line, str(index)
            if container == "{":
                if text.peek() != '"':
                    raise text.error("a key in double quotes")
                key = text.value()
                if text.peek() != ":":
                    raise text.error("a colon after the key")
                text.skip()
                text.peek()
            yield line, key, text.value()
            index += 1
        text.skip()
        if text.peek():
            raise text.error("the end of the file")


def read_json(path: epath.Path, container: str) -> dict[str, tuple[int, object]]:
    """Returns the entries of a small file: key to (line, value).

    Raises:
        AnnotationError: As `read_json_entries`, or a key stands twice.
    """
    entries: dict[str, tuple[int, object]] = {}
    for line, key, value in read_json_entries(path, container):
        if key in entries:
            first = entries[key][0]
            raise AnnotationError(
                f"{place(path, line)}: got {key!r} again; expected it once, as in line {first}."
            )
        entries[key] = line, value
    return entries


class _Text:
    """A window on the text of a file, which moves on as values are taken from it."""

    def __init__(self, path: epath.Path, file, chunk: int):
        self._path = path
        self._file = file
        self._chunk = chunk
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._buffer = ""
        self._at = 0
        self._ended = False
        self.line = 1

    def peek(self) -> str:
        """Moves past white space and returns the next character; "" at the end of the file."""
        while True:
            self._move(_SPACE.match(self._buffer, self._at).end())
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Moves past one character."""
        self._move(self._at + 1)

    def value(self) -> object:
        """Takes the value that begins at the next character."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                length = error.pos - self._at
                cut = error.msg.startswith("Unterminated string")
                if (cut or error.pos >= len(self._buffer) - _CUT) and self._more():
                    continue
                if cut or self._at + length >= len(self._buffer):
                    self._move(len(self._buffer))
                    raise self.error("the rest of a value") from error
                self._move(self._at + length)
                raise self.error(f"JSON ({error.msg})") from error
            except RecursionError:
                raise self.error("values nested less deeply") from None
            length = end - self._at
            # What ends with the window may go on behind it, as a number does.
            if end < len(self._buffer) or not self._more():
                self._move(self._at + length)
                return value

    def error(self, expected: str) -> AnnotationError:
        """Returns the error that something else stands here."""
        if self._at < len(self._buffer) or not self._ended:
            got = repr(self._buffer[self._at : self._at + 40])
            return AnnotationError(
                f"{place(self._path, self.line)}: got {got}; expected {expected}."
            )
        return AnnotationError(
            f"{place(self._path, self.line)}: got the end of the file; expected {expected}. Its "
            "download has probably broken off: fetch it again."
        )

    def _move(self, to: int) -> None:
        self.line += self._buffer.count("\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        """Reads on; tells whether there was anything to read.

        At least as much as the window holds, so that a long value is not begun anew too often.
        """
        if self._ended:
            return False
        kept = self._buffer[self._at :]
        block = self._file.read(max(self._chunk, len(kept)))
        self._ended = not block
        try:
            self._buffer = kept + self._decode(block, final=self._ended)
        except UnicodeDecodeError as error:
            raise AnnotationError(
                f"{os.fspath(self._path)}, after line {self.line}: got bytes that are not UTF-8 "
                f"({error.reason}); expected a JSON file in UTF-8."
            ) from error
        self._at = 0
        return not self._ended or len(self._buffer) > len(kept)
