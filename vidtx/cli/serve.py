"""``vidtx serve``: a local page that answers for a video that is dropped on it."""

import argparse
import json
import sys

from vidtx.cli._values import rate, seconds, views, weights_place
from vidtx.cli.arguments import place, whole_number
from vidtx.cli.convert import read_class_names

__all__ = ["add_commands"]

_DESCRIPTION = """A local page: drop a video, see its five most probable classes, when each is seen,
and what the model looks at. Beside it a JSON endpoint:

    vidtx serve --weights=runs/k400/best
    curl --data-binary @clip.mp4 http://127.0.0.1:8000/api/predict

It answers one video after another, at this machine alone unless --host says otherwise; there is no
authentication. Uploads are deleted once they are answered. docs/serve.md has the rest. It needs
pip install 'vidtx[serve]'.

Exit code 0: stopped by Ctrl-C, SIGTERM or SIGHUP, which is how a server ends; 2: an option does not
fit, or there are no such weights; 6: the weights cannot be used; 7: the port is taken, a library is
missing, or the model does not fit this machine.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx serve``."""
    parser = commands.add_parser(
        "serve", help="a local page that answers for videos", description=_DESCRIPTION
    )
    parser.add_argument(
        "--weights",
        required=True,
        type=weights_place,
        metavar="SRC",
        help="a run directory, its `best`, a file or folder of another library, or hf:OWNER/NAME",
    )
    where = parser.add_argument_group("where").add_argument
    where("--host", default="127.0.0.1", help="to listen at (default: 127.0.0.1, this machine)")
    where("--port", type=_port, default=8000, metavar="N", help="0 for a free one (default: 8000)")
    bound = parser.add_argument_group("limits").add_argument
    bound("--max_mb", type=whole_number(1), default=512, metavar="N", help="of a file (512)")
    bound("--max_seconds", type=seconds, default=3600.0, metavar="S", help="of a video (3600)")
    bound("--timeout", type=seconds, default=300.0, metavar="S", help="for one answer (300)")
    bound("--queue", type=whole_number(0), default=4, metavar="N", help="videos that wait (4)")
    other = parser.add_argument_group("in place of what the weights say").add_argument
    other("--views", type=views, metavar="TxS", help="clips x crops of a video, such as 10x3")
    other("--stride", type=whole_number(1), metavar="N", help="frames from one to the next")
    other(
        "--fps",
        type=rate,
        metavar="F",
        help="frames a second that the stride counts in; 0: each video's own",
    )
    other("--class_names", type=place, metavar="FILE", help="one name a line, in the head's order")
    other("--num_heads", type=whole_number(1), metavar="N", help="where no file says it")
    other("--channel_order", choices=("rgb", "bgr"), help="where no file says it, or says it wrong")
    parser.add_argument(
        "--json", action="store_true", help="print address and model as one JSON value, once ready"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until it is stopped."""
    # Here, as they are an extra, and no other command needs them.
    from vidtx.serving import Limits
    from vidtx.serving.server import serve

    def ready(told: dict) -> None:
        if options.json:
            print(json.dumps(told), flush=True)
        else:
            print(
                f"{told['url']} answers for {told['model']['name']}. Ctrl-C stops it.", flush=True
            )

    serve(
        options.weights,
        host=options.host,
        port=options.port,
        limits=Limits(
            max_mb=options.max_mb,
            max_seconds=options.max_seconds,
            timeout=options.timeout,
            queue=options.queue,
        ),
        load={
            "views": options.views,
            "stride": options.stride,
            "target_fps": options.fps,
            "class_names": options.class_names and read_class_names(options.class_names),
            "num_heads": options.num_heads,
            "channel_order": options.channel_order,
        },
        ready=ready,
        log=lambda line: print(f"vidtx: {line}", file=sys.stderr, flush=True),
    )
    return 0


def _port(text: str) -> int:
    number = whole_number(0)(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 65535 or less")
    return number
