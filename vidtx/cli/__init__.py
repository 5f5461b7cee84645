"""The command ``vidtx``: everything around training, from annotation files to a running pod.

    vidtx data build ucf101 --videos=UCF-101 --annotations=ucfTrainTestlist --out=data
    vidtx data audit data/ucf101
    vidtx data show --config=motions --out=sheet.png
    vidtx describe --config=k400_divided --devices=16
    vidtx compile --config=k400_divided --topology=v5e:4x4
    vidtx benchmark step --config=k400_divided
    vidtx convert hf:facebook/timesformer-base-finetuned-k400 k400
    vidtx launch queued --help

``python -m vidtx`` is the same command. Training and evaluation have a door of their own,
``python -m vidtx.main``. Exit codes are those of `vidtx.errors`.
"""

import io
import json
import os
import sys
from typing import NoReturn

from vidtx.cli.arguments import parse
from vidtx.data_errors import data_errors_as_ours
from vidtx.errors import ConfigError, MachineError, StoppedError, VidtxError, explain

__all__ = ["main", "program"]

# Of a path that was typed, and is not what the command needs.
_WRONG_PATH = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code (see `vidtx.errors`).

    What a command finds out goes to standard output, all else to standard error. With ``--json``,
    standard output is one JSON value: what the command returns, or
    ``{"error": {"exit_code": …, "message": …}}``.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = parse(arguments)
        with data_errors_as_ours():
            return options.run(options)
    except SystemExit as end:  # --help, once it is printed
        return int(end.code or 0)
    except (VidtxError, KeyboardInterrupt, OSError, RuntimeError) as error:
        known = _explain(error)
        if known is None:
            raise
        print(f"vidtx: {known}", file=sys.stderr, flush=True)
        if "--json" in arguments:
            print(json.dumps({"error": {"exit_code": known.exit_code, "message": str(known)}}))
        return known.exit_code


def _explain(error: BaseException) -> VidtxError | None:
    """What an error means for the person who typed the command, or None if it is a bug."""
    if isinstance(error, BrokenPipeError):
        raise error  # nobody is told anything any more
    if isinstance(error, KeyboardInterrupt):
        return StoppedError("Stopped. Give the same command again.")
    if isinstance(error, _WRONG_PATH):
        return ConfigError(f"{error}. Name another path.")
    known = explain(error)
    if known is None and isinstance(error, OSError):
        return MachineError(f"{error}. See whether the storage can be read and written.")
    return known


def program() -> NoReturn:
    """Runs the command line and ends the process."""
    for stream in (sys.stdout, sys.stderr):
        # Names of files may be of any bytes, and not every terminal knows every character.
        if isinstance(stream, io.TextIOWrapper):  # and not None, or what someone has put there
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
