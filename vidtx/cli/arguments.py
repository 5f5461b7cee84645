"""Reading the command line: the parser of ``vidtx``, and types of values that several share."""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import NoReturn

from vidtx import __version__
from vidtx.errors import ConfigError

__all__ = ["Parser", "number_or_none", "parse", "place", "share", "whole_number"]

_CHANGE = ("--config.", "-config.")


class Parser(argparse.ArgumentParser):
    """argparse with the house's manners: no abbreviated flags, errors as `ConfigError`."""

    def __init__(self, **options):
        """Makes a parser; ``options`` as of `argparse.ArgumentParser`."""
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Refuses a command line.

        Raises:
          ConfigError: always.
        """
        message = message.removeprefix("argument ").rstrip(".")
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads a command line.

    Args:
      arguments: without the program's name.

    Returns:
      The options. ``run`` is the command, to be called with them; ``changes`` are those of a
      config, such as ``--config.data.frames=16``, for commands that set ``takes_config``.

    Raises:
      ConfigError: it is wrong; the message says what is expected.
      SystemExit: help was asked for, and is printed.
    """
    # Imported here, as the commands' modules import this one.
    from vidtx import cli
    from vidtx.cli import (
        attention,
        benchmark,
        compile,
        convert,
        data,
        describe,
        embed,
        export,
        launch,
        predict,
        serve,
    )

    parser = Parser(prog="vidtx", description=cli.__doc__)
    parser.add_argument("--version", action="version", version=f"vidtx {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    asked = (predict, attention, serve, embed, export)
    for module in (data, describe, compile, benchmark, convert, *asked, launch):
        module.add_commands(commands)
    changes = [argument for argument in arguments if argument.startswith(_CHANGE)]
    options = parser.parse_args([argument for argument in arguments if argument not in changes])
    if changes and not getattr(options, "takes_config", False):
        raise ConfigError(f"{changes[0]}: this command reads no config. See vidtx --help.")
    options.changes = changes
    return options


def place(text: str) -> str:
    """The type of an option that is a file or a folder, ``~`` being the home folder."""
    if not text:
        raise argparse.ArgumentTypeError("'' must be the path of a file or a folder, such as data")
    return os.path.expanduser(text)


def whole_number(lowest: int) -> Callable[[str], int]:
    """The type of an option that is a whole number of at least ``lowest``."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, {lowest} or more")
        return int(text)

    return read


def share(text: str) -> float:
    """The type of an option that is a share between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a share between 0 and 1, such as 0.01")
    return value


def number_or_none(kind: type) -> Callable[[str], float | int | None]:
    """The type of an option that is a number above 0, or ``none``.

    Args:
      kind: int or float.
    """
    named = "a whole number" if kind is int else "a number"

    def read(text: str) -> float | int | None:
        if text.lower() == "none":
            return None
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} must be {named} above 0, or none")
        return value

    return read
