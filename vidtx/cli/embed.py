"""``vidtx embed``: features of videos as a table, for retrieval and probing."""

import argparse
import json
import sys

from data_pipelines.video_files import list_video_files
from vidtx.cli._progress import Progress
from vidtx.cli._signals import StopSignal
from vidtx.cli._values import rate, seconds, views, weights_place
from vidtx.cli.arguments import place, whole_number
from vidtx.data_errors import data_errors_as_ours
from vidtx.errors import DataQualityError

__all__ = ["add_commands"]

_DESCRIPTION = """Writes what a model's head classifies, of each clip of videos: a row with the
video, the clip's number and seconds, a label where folders tell it, and the features.

    vidtx embed clips --weights=runs/k400/best --out=clips.parquet
    vidtx embed clips --weights=runs/k400/best --out=clips.npz --per=video
    vidtx embed hour.mp4 --weights=runs/k400/best --out=hour.parquet --hop=1

VIDEO is a file of any container and length, a folder (all videos below it), or a pattern in quotes.
Of a folder ROOT, videos ROOT/LABEL/clip.mp4 have labels. Clips are prepared as the weights ask for.
Files that cannot be used are told of and left out. A call that was stopped or killed goes on where
it was when it is repeated. docs/embeddings.md has the rest.

Exit code 2: no video was found, FILE is there already or was begun otherwise, or an option does not
fit; 4: stopped, the same command goes on; 5: some videos failed, could be read in part only, or
a folder or pattern holds none; 6: the weights cannot be used; 7: the disk is full, or a batch does
not fit the device.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx embed``."""
    parser = commands.add_parser(
        "embed", help="write features of videos to a table", description=_DESCRIPTION
    )
    option = parser.add_argument
    option("videos", metavar="VIDEO", nargs="+", type=place, help="file, folder, or 'pattern'")
    option(
        "--weights",
        required=True,
        type=weights_place,
        metavar="SRC",
        help="a run directory, its best, one checkpoint, an exported folder, another library's "
        "file or hf:OWNER/NAME",
    )
    option("--out", required=True, type=place, metavar="FILE", help="*.parquet or *.npz")
    option(
        "--per",
        default="clip",
        choices=("clip", "video"),
        help="a row for every clip and crop, or for every video their mean (default: clip)",
    )
    option(
        "--hop",
        type=seconds,
        metavar="SECONDS",
        help="windows along the video so far apart, in place of clips of the evaluation",
    )
    option(
        "--batch",
        type=whole_number(1),
        default=8,
        metavar="N",
        help="clips at once; changes speed and memory, features by rounding (default: 8)",
    )
    option("--json", action="store_true", help="print one JSON value")
    other = parser.add_argument_group("in place of what the weights say").add_argument
    other("--views", type=views, metavar="TxS", help="clips x crops of a video, such as 10x3")
    other("--stride", type=whole_number(1), metavar="N", help="frames from one to the next")
    other(
        "--fps",
        type=rate,
        metavar="F",
        help="frames a second that the stride counts in; 0: each video's own",
    )
    other("--num_heads", type=whole_number(1), metavar="N", help="where no file says it")
    other("--channel_order", choices=("rgb", "bgr"), help="where no file says it, or says it wrong")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Embeds, and prints what was written."""
    with data_errors_as_ours():
        found = list_video_files(options.videos)
    # Here, as a wrong command line is to be told at once.
    from vidtx.inference.embed import Embedder
    from vidtx.inference.embed_file import embed_file, free_file, labels_of

    free_file(options.out)  # before weights are fetched in vain
    embedder = Embedder.load(
        options.weights,
        views=options.views,
        batch=options.batch,
        stride=options.stride,
        target_fps=options.fps,
        num_heads=options.num_heads,
        channel_order=options.channel_order,
    )
    for note in embedder.preprocessing.notes:
        print(f"NOTE: {note}", file=sys.stderr)
    files = found.files
    stop = StopSignal("the video at hand is finished first.", "The same command goes on.")
    with stop, Progress("videos") as progress:

        def tell(done: int, before: int, _: object) -> None:
            progress.update(done, len(files), before=before)
            if done < len(files):
                stop.check()

        embedded = embed_file(
            embedder,
            files,
            options.out,
            per=options.per,
            hop_seconds=options.hop,
            labels=labels_of(options.videos, files),
            on_video=tell,
        )
    if options.json:
        beside = {"passed_over": found.passed_over, "missing": list(found.missing)}
        print(json.dumps(embedded.to_dict() | beside))
    else:
        print(
            f"{options.out}: {embedded.rows:,} rows of {embedded.dim} numbers, of "
            f"{embedded.videos - len(embedded.failed):,} videos"
        )
        if found.passed_over:
            print(f"  {found.passed_over:,} other files passed over: no video by its suffix")
    for line in found.missing:
        print(f"NO VIDEO {line}", file=sys.stderr)
    for one in embedded.failed:
        print(f"FAILED {one.video}: {one.message}", file=sys.stderr)
    for video, notes in embedded.partly:
        print(f"IN PART {video}: {' '.join(notes)}", file=sys.stderr)
    lacking = embedded.failed or embedded.partly or found.missing
    return DataQualityError.exit_code if lacking else 0
