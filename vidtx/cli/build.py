"""``vidtx data build``: from annotation files and a folder of videos to a data set to train on."""

import argparse
import functools
import json
import sys
import textwrap
from typing import Any

from etils import epath

from data_pipelines.annotations import DATASETS, Request, list_videos
from data_pipelines.build import Progress as BuildProgress
from data_pipelines.build import Settings, build
from data_pipelines.build.settings import STORAGES
from vidtx.cli import beam
from vidtx.cli._listing import listing_dict, listing_text, manifest_text
from vidtx.cli._progress import Progress, megabytes
from vidtx.cli._signals import StopSignal
from vidtx.cli.arguments import number_or_none, place, share, whole_number
from vidtx.errors import ConfigError

__all__ = ["add_command", "add_out", "add_storage", "report", "settings_of"]

_DESCRIPTION = """Builds a data set: an ordinary TFDS folder of ArrayRecord shards,
OUT/NAME/VERSION, with a manifest that says what is in it and what was left out. Every video is
decoded strictly, and re-encoded so that clips can be cut out of it fast, unless --storage says
otherwise.

    vidtx data build ucf101 --videos=UCF-101 --annotations=ucfTrainTestlist --out=data
    vidtx data build folder --videos=my_videos --name=my_videos --out=data --dry_run

A build that was stopped or killed goes on at the last finished shard: give the same command again.
"""

_STOPPING = "stopping; finished shards are kept."
_STOPPED = "The same command goes on at the last finished shard."

_DEFAULT_SIDE, _DEFAULT_FPS = 256, 30.0
_CAPTIONED = {"howto100m": {"max_fps": 10.0, "record_seconds": 30.0}}


def add_command(commands: argparse._SubParsersAction) -> None:
    """Registers the command."""
    kinds = "\n".join(
        f"  {kind.name}\n{_indented(kind.summary)}\n{_indented(f'annotations: {kind.annotations}')}"
        for kind in DATASETS.values()
    )
    parser = commands.add_parser(
        "build",
        help="build a data set from videos and their annotations",
        description=_DESCRIPTION,
        epilog=f"data sets:\n{kinds}",
    )
    parser.add_argument("kind", metavar="NAME", choices=tuple(DATASETS), help="see below")
    add = parser.add_argument_group("what is read and written").add_argument
    add(
        "--videos",
        required=True,
        type=place,
        metavar="DIR",
        help="folder below which the video files lie",
    )
    add(
        "--annotations",
        action="extend",
        nargs="+",
        type=place,
        default=[],
        metavar="FILE_OR_DIR",
        help="the annotation files, or folders of them; may be given again",
    )
    add_out(add)
    add("--name", help="of the data set, where it is to be another")
    add("--version", default="1.0.0", metavar="X.Y.Z", help="of the data set (default: 1.0.0)")
    _add_choices(parser.add_argument_group("what is listed").add_argument)
    add_storage(parser.add_argument_group("how videos are stored").add_argument)
    _add_running(parser.add_argument_group("the build itself").add_argument)
    beam.add_options(parser.add_argument_group("a build on many machines").add_argument)
    parser.set_defaults(run=run)


def _indented(text: str) -> str:
    return textwrap.fill(text, 90, initial_indent=" " * 6, subsequent_indent=" " * 8)


def _add_choices(add) -> None:
    add("--fold", type=whole_number(1), help="of ucf101, hmdb51: 1, 2 or 3 (default: 1)")
    add("--class_list", type=place, metavar="FILE", help="names, one a line, in label order")
    add("--min_videos", type=whole_number(1), metavar="N", help="of a task of howto100m")
    add("--test_share", type=share, metavar="SHARE", help="held out where nothing says (0.1)")


def add_out(add) -> None:
    """Adds where data sets are built."""
    described = "folder of all data sets, data.data_dir"
    add("--out", required=True, type=place, metavar="DIR", help=described)


def add_storage(add) -> None:
    """Adds the options of how videos are stored."""
    unset = argparse.SUPPRESS  # as "none" is a value
    add(
        "--storage",
        choices=STORAGES,
        default=STORAGES[0],
        help="canonical: H.264 made to cut clips out of; jpeg: five times the bytes for twice the "
        "speed; as_is: the files' own bytes (default: canonical)",
    )
    add(
        "--short_side",
        type=number_or_none(int),
        default=unset,
        metavar="PIXELS",
        help="to which larger videos are shrunk, or none (default: 256)",
    )
    add(
        "--max_fps",
        type=number_or_none(float),
        default=unset,
        metavar="RATE",
        help="frames a second above which some are left out, or none (default: 30; howto100m 10)",
    )
    add(
        "--jpeg_quality",
        type=whole_number(1),
        default=unset,
        metavar="Q",
        help="of --storage=jpeg, up to 100 (default: 90)",
    )
    add(
        "--record_seconds",
        type=number_or_none(float),
        default=unset,
        metavar="SECONDS",
        help="length that videos are cut into, or none (default: none; howto100m 30)",
    )


def _add_running(add) -> None:
    add("--shards", type=whole_number(1), metavar="N", help="files of each split")
    add("--workers", type=whole_number(1), metavar="N", help="processes (default: one a core)")
    add(
        "--max_bad",
        type=share,
        default=0.01,
        metavar="SHARE",
        help="of the listed videos that may be missing or unusable; above it nothing is "
        "published (default: 0.01)",
    )
    add("--restart", action="store_true", help="throw away what an earlier build has finished")
    add("--dry_run", action="store_true", help="list only: open no video, write nothing")
    add("--json", action="store_true", help="print the manifest alone, as JSON")


def settings_of(options: argparse.Namespace) -> Settings:
    """How the command stores videos.

    Raises:
      ConfigError: some choice is impossible, or none that this storage has.
    """
    given = {
        name: getattr(options, name)
        for name in ("short_side", "max_fps", "jpeg_quality", "record_seconds")
        if hasattr(options, name)
    }
    if options.storage == "as_is":
        useless = [name for name, value in given.items() if value is not None]
        values: dict[str, Any] = {"short_side": None, "max_fps": None}
    else:
        useless = [name for name in given if name == "jpeg_quality" and options.storage != "jpeg"]
        values = {"short_side": _DEFAULT_SIDE, "max_fps": _DEFAULT_FPS}
        values |= _CAPTIONED.get(options.kind, {}) | given
    if useless:
        raise ConfigError(f"--{useless[0]}: --storage={options.storage} has no such choice.")
    try:
        return Settings(storage=options.storage, **values)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def request_of(options: argparse.Namespace) -> Request:
    """What the command lists.

    Raises:
      ConfigError: some choice is impossible.
    """
    given = {name: getattr(options, name) for name in ("fold", "min_videos", "test_share")}
    try:
        return Request(
            videos=epath.Path(options.videos),
            annotations=tuple(map(epath.Path, options.annotations)),
            class_list=None if options.class_list is None else epath.Path(options.class_list),
            **{name: value for name, value in given.items() if value is not None},
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def run(options: argparse.Namespace) -> int:
    """Builds the data set, or what is left of it to build."""
    # Results go to standard output, all else to standard error; with --json only the manifest is
    # a result.
    show = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    settings, request, runner = (
        settings_of(options),
        request_of(options),
        beam.beam_options(options),
    )
    listing = list_videos(options.kind, request, options.name)
    show(listing_text(listing, options.version))
    if options.dry_run:
        show("Nothing was built, as --dry_run asks.")
        if options.json:
            print(json.dumps(listing_dict(listing)))
        return 0
    with StopSignal(_STOPPING, _STOPPED) as stop, Progress("videos") as progress:
        try:
            manifest = build(
                listing,
                options.out,
                settings,
                version=options.version,
                shards=options.shards,
                workers=options.workers,
                max_bad=options.max_bad,
                restart=options.restart,
                beam=runner,
                report=functools.partial(report, progress),
                between=stop.check,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
    show(manifest_text(manifest, options.out))
    if options.json:
        print(manifest.to_json(), end="")
    return 0


def report(progress: Progress, state: BuildProgress) -> None:
    """Shows how far a build is."""
    progress.update(
        state.videos,
        state.total,
        f"{state.dropped:,} dropped",
        f"{megabytes(state.num_bytes)} written",
        f"shard {state.shards:,} of {state.total_shards:,}",
        before=state.resumed,
    )
