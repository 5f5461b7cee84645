"""``vidtx data import``: a data set of TFDS whose videos are frames, made one of ours."""

import argparse
import functools
import sys

from data_pipelines.extras import MissingExtraError
from data_pipelines.tfds_import import FrameRateError, import_frames
from vidtx.cli import build
from vidtx.cli._listing import manifest_text
from vidtx.cli._progress import Progress
from vidtx.cli._signals import StopSignal
from vidtx.cli.arguments import number_or_none, place, share, whole_number
from vidtx.errors import ConfigError

__all__ = ["add_command"]

_DESCRIPTION = """Imports a data set of TensorFlow Datasets that holds videos as frames, such as
ucf101, moving_mnist or robonet, into one that vidtx trains on. It is read with TensorFlow, once;
training does not need TensorFlow. What is not in --tfds_dir yet, TFDS downloads and prepares there.

    pip install 'vidtx[tf]'
    vidtx data import ucf101/ucf101_1 --fps=25 --out=data

An import that was stopped or killed goes on where it was: give the same command again.
"""

_STOPPING = "stopping; what is finished is kept."
_STOPPED = "The same command goes on where it was."


def add_command(commands: argparse._SubParsersAction) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "import", help="import a data set of TFDS that holds frames", description=_DESCRIPTION
    )
    add = parser.add_argument_group("what is read and written").add_argument
    add("dataset", metavar="NAME", help="as TFDS knows it: NAME, NAME/CONFIG, NAME:VERSION")
    build.add_out(add)
    add(
        "--fps",
        type=number_or_none(float),
        metavar="RATE",
        help="frames a second, which TFDS does not record",
    )
    described = "where TFDS keeps its data sets (default: TFDS's)"
    add("--tfds_dir", type=place, metavar="DIR", help=described)
    add("--splits", metavar="A,B", help="splits to import (default: all)")
    add("--video_feature", metavar="KEY", help="the feature that is the video, if several could be")
    add("--label_feature", metavar="KEY", help="likewise the class; empty for none")
    add("--name", help="of the data set, where it is to be another")
    add("--version", default="1.0.0", metavar="X.Y.Z", help="of the data set (default: 1.0.0)")
    build.add_storage(parser.add_argument_group("how videos are stored").add_argument)
    add = parser.add_argument_group("the import itself").add_argument
    add("--shards", type=whole_number(1), metavar="N", help="files of each split")
    add("--workers", type=whole_number(1), metavar="N", help="processes (default: one a core)")
    add("--max_bad", type=share, default=0.01, metavar="SHARE", help="as of vidtx data build")
    add("--restart", action="store_true", help="throw away what an earlier build has finished")
    add("--json", action="store_true", help="print the manifest alone, as JSON")
    parser.set_defaults(run=run, kind="")


def run(options: argparse.Namespace) -> int:
    """Imports the data set, or what is left of it to import."""
    settings = build.settings_of(options)
    with (
        StopSignal(_STOPPING, _STOPPED) as stop,
        Progress("videos read") as read,
        Progress("videos") as built,
    ):
        try:
            manifest = import_frames(
                options.dataset,
                options.out,
                settings,
                fps=options.fps,
                tfds_dir=options.tfds_dir,
                video=options.video_feature,
                label=options.label_feature,
                splits=options.splits and options.splits.split(","),
                new_name=options.name,
                version=options.version,
                shards=options.shards,
                workers=options.workers,
                max_bad=options.max_bad,
                restart=options.restart,
                laid_down=lambda split, done, total: read.update(done, total, split),
                report=functools.partial(build.report, built),
                between=stop.check,
            )
        except (FrameRateError, MissingExtraError, ValueError) as error:
            raise ConfigError(str(error)) from error
    show = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    show(manifest_text(manifest, options.out))
    if options.json:
        print(manifest.to_json(), end="")
    return 0
