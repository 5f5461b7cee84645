"""``vidtx attention``: what a model looks at in a video, as a film, a picture or arrays."""

import argparse
import json
import os
import sys

from vidtx.cli._values import weights_place
from vidtx.cli.arguments import place, whole_number
from vidtx.cli.convert import read_class_names
from vidtx.errors import ConfigError, DataQualityError

__all__ = ["add_commands"]

_SHOWN = 16  # frames whose weights are printed

_DESCRIPTION = """Shows what a model looks at in one clip of a video, laid over the frames as the
model was fed them, and how much of it falls on each frame.

    vidtx attention clip.mp4 --weights=runs/motions --out=maps.mp4
    vidtx attention clip.mp4 --weights=runs/motions --out=maps.png --method=relevance --class=left
    vidtx attention clip.mp4 --weights=runs/motions --out=maps/ --at=12.5
    vidtx attention clip.mp4 --weights=runs/motions --out=time.png --method=raw --step=time \\
        --query=3,1,2

rollout composes the attention of all layers, residual connections included; relevance weighs it by
the gradient of one class, and tells what speaks for it; raw shows one step of one layer.
docs/attention.md has the definitions, and the keys of .npz.

Exit code 2: an option does not fit the model, or the video is not there; 5: the video cannot be
used, or was read in part only; 6: the weights cannot be used; 7: the clip does not fit the device.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx attention``."""
    parser = commands.add_parser(
        "attention", help="show what a model looks at in a video", description=_DESCRIPTION
    )
    parser.add_argument("video", metavar="VIDEO", type=place, help="a file of any container")
    parser.add_argument(
        "--weights",
        required=True,
        type=weights_place,
        metavar="PATH",
        help="a run directory, its folder best, a checkpoint, another library's, hf:OWNER/NAME",
    )
    parser.add_argument(
        "--out",
        required=True,
        type=place,
        metavar="PATH",
        help="maps.mp4, maps.png or maps.npz; a folder for all three",
    )
    parser.add_argument(
        "--at",
        type=_number,
        metavar="SECONDS",
        help="where in the video the clip begins (default: the clip in the middle)",
    )
    parser.add_argument(
        "--method",
        choices=("rollout", "relevance", "raw"),
        default="rollout",
        help="default: rollout",
    )
    parser.add_argument(
        "--class",
        dest="class_name",
        metavar="NAME|N",
        help="that relevance is about (default: the predicted one)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    raw = parser.add_argument_group("of --method=raw").add_argument
    raw("--layer", type=_layer, metavar="N", help="from 0; -1 is the last one, and the default")
    raw("--step", help="time, space and so on (default: the one with the class token)")
    raw("--head", type=_head, metavar="N|mean", help="from 0 (default: mean)")
    parser.add_argument(
        "--query",
        type=_query,
        metavar="FRAME,ROW,COLUMN",
        help="the patch that looks, numbered from 0, in place of the class token; not with "
        "relevance",
    )
    parser.add_argument(
        "--normalise",
        choices=("clip", "frame"),
        default="clip",
        help="what the brightest colour stands for: the most looked at patch of the clip, or of "
        "each frame (default: clip)",
    )
    other = parser.add_argument_group("in place of what the weights say").add_argument
    other("--stride", type=whole_number(1), metavar="N", help="frames from one to the next")
    other(
        "--fps",
        type=_number,
        metavar="F",
        help="frames a second that the stride counts in; 0: the video's own",
    )
    other("--class_names", type=place, metavar="FILE", help="one name a line, in the head's order")
    other("--num_heads", type=whole_number(1), metavar="N", help="where no file says it")
    other("--channel_order", choices=("rgb", "bgr"), help="where no file says it, or says it wrong")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Looks, writes and tells."""
    if not os.path.isfile(options.video):
        there = "a folder" if os.path.isdir(options.video) else "not there"
        raise ConfigError(f"{options.video} is {there}; name one video file.")
    # Here, as building and auditing are to start without JAX.
    from vidtx.inference.predictor import Predictor
    from vidtx.run.attention import attend
    from vidtx.run.attention_files import out_problems, write_attention
    from vidtx.run.attention_question import Question

    problems = out_problems(options.out)
    if problems:
        raise ConfigError("\n".join(problems))
    question = Question(
        method=options.method,
        class_name=options.class_name,
        layer=options.layer,
        step=options.step,
        head=None if options.head == "mean" else options.head,
        query=options.query,
    )
    predictor = Predictor.load(
        options.weights,
        views="1x1",
        batch=1,
        stride=options.stride,
        target_fps=options.fps,
        class_names=options.class_names and read_class_names(options.class_names),
        num_heads=options.num_heads,
        channel_order=options.channel_order,
    )
    clip = attend(predictor, options.video, question, at=options.at)
    files = [
        os.fspath(path) for path in write_attention(clip, options.out, normalise=options.normalise)
    ]
    notes = [*predictor.notes, *clip.notes]
    for note in notes:
        print(f"NOTE: {note}", file=sys.stderr)
    if options.json:
        print(json.dumps(clip.to_dict() | {"notes": notes, "files": files}))
        return 0 if clip.complete else DataQualityError.exit_code
    frame, row, column = clip.hottest
    scores = ", ".join(f"{score.name} {score.probability:.1%}" for score in clip.top)
    weights = [f"{weight:.1%}" for weight in clip.frame_weights]
    more = f" … (all {len(weights)}: --json)" if len(weights) > _SHOWN else ""
    when = f"{clip.seconds[frame]:.2f} s"
    print(
        f"{scores}\n{clip.description}\n"
        f"most looked at: frame {frame} of the clip ({when}), patch row {row}, column {column} of "
        f"{' × '.join(map(str, clip.maps.shape[1:]))}\n"
        f"weight of each frame: {' '.join(weights[:_SHOWN])}{more}"
    )
    print("\n".join(files))
    return 0 if clip.complete else DataQualityError.exit_code


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a number, 0 or more, such as 12.5")
    return value


def _layer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, such as -1") from error


def _head(text: str) -> int | str:
    return text if text == "mean" else whole_number(0)(text)


def _query(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be FRAME,ROW,COLUMN, each from 0, such as 3,1,2"
        )
    return tuple(int(part) for part in parts)
