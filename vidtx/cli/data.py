"""``vidtx data``: building, auditing and looking at data sets."""

import argparse

from vidtx.cli import audit, build, import_frames, show

__all__ = ["add_commands"]


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx data`` and what it does."""
    parser = commands.add_parser("data", help="build, audit and look at data sets")
    own = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for module in (build, import_frames, audit, show):
        module.add_command(own)
