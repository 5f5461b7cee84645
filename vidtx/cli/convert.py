"""``vidtx convert``: weights of any source as a vidtx checkpoint or a Hugging Face folder."""

import argparse
import json
import pathlib

from vidtx.cli._values import weights_place
from vidtx.cli.arguments import place, whole_number
from vidtx.errors import ConfigError

__all__ = ["add_commands", "read_class_names"]

_DESCRIPTION = """Converts weights, and tells what became of every array: used, resized, copied, new
or dropped. Arrays that are new are told with how they begin; the report is written beside the
weights, too, as conversion.json.

    vidtx convert TimeSformer_divST_8x32_224_K400.pyth k400
    vidtx convert hf:facebook/timesformer-base-finetuned-k400 k400
    vidtx convert B_16.npz start --scheme=divided --num_frames=8 --num_classes=174
    vidtx convert runs/k400/best exported --to=huggingface

SRC is a run directory, its folder `best`, one checkpoint, a file or folder of another library
(Google's .npz; timm, Hugging Face and the authors' files: .safetensors, .bin, .pth, .pyth), or
hf:OWNER/NAME. DST is a folder that is absent or empty. docs/weights.md has the rest.

Exit code 2: SRC is not there, DST is not empty, or an option does not fit; 6: the weights cannot be
used; 7: the disk is full, the Hub cannot be reached, or PyTorch, which its own files need, is
missing.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx convert``."""
    parser = commands.add_parser(
        "convert", help="convert weights of other libraries, and to them", description=_DESCRIPTION
    )
    parser.add_argument("source", metavar="SRC", type=weights_place, help="what is read")
    parser.add_argument("target", metavar="DST", type=place, help="the folder that is written")
    parser.add_argument(
        "--to",
        choices=("vidtx", "huggingface"),
        default="vidtx",
        help="vidtx: a folder that vidtx.load and train.init_from take; huggingface: one that "
        "TimesformerForVideoClassification.from_pretrained takes (default: vidtx)",
    )
    parser.add_argument("--dry_run", action="store_true", help="tell, and write nothing")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON value")
    model = parser.add_argument_group("the model, in place of the source's own").add_argument
    model("--scheme", help="of attention; image models are space unless told otherwise")
    model("--num_classes", type=whole_number(1), metavar="N", help="the head is then new")
    model("--num_frames", type=whole_number(1), metavar="N", help="of a clip")
    model(
        "--image_size",
        type=_image_size,
        metavar="N|H,W",
        help="pixels of a clip's side, or height and width",
    )
    model("--position_embedding", help="none, space or space_time")
    model(
        "--class_names",
        type=place,
        metavar="FILE",
        help="names of the classes, one a line, in the order of the head",
    )
    how = parser.add_argument_group("how").add_argument
    how(
        "--resize",
        default="nearest",
        choices=("nearest", "bilinear", "bicubic", "nearest_1d"),
        help="of position embeddings; nearest_1d is the authors' (default: nearest)",
    )
    how("--seed", type=whole_number(0), default=0, metavar="N", help="of arrays that are new")
    source = parser.add_argument_group("of the source, where no file says it").add_argument
    source("--num_heads", type=whole_number(1), metavar="N", help="attention heads")
    source(
        "--channel_order",
        choices=("rgb", "bgr"),
        help="in which it is fed: bgr of the authors' Something-Something V2 models",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Converts and prints."""
    names = options.class_names and read_class_names(options.class_names)
    # Here, as building and auditing are to start without JAX.
    import jax

    # An accelerator of this machine, if it has one, may be in use, and is not needed.
    jax.config.update("jax_platforms", "cpu")
    from vidtx.inference import convert

    report = convert(
        options.source,
        options.target,
        to=options.to,
        seed=options.seed,
        dry_run=options.dry_run,
        scheme=options.scheme,
        num_classes=options.num_classes,
        num_frames=options.num_frames,
        image_size=options.image_size,
        position_embedding=options.position_embedding,
        class_names=names,
        resize=options.resize,
        num_heads=options.num_heads,
        channel_order=options.channel_order,
    )
    if options.json:
        print(json.dumps(report.to_dict()))
        return 0
    done = "would be written" if options.dry_run else "written"
    print("\n".join([f"{options.target}: {done}", *report.lines()]))
    return 0


def _image_size(text: str) -> int | tuple[int, int]:
    sides = text.split(",")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} must be pixels, such as 224, or height,width")
    return int(text) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def read_class_names(path: str) -> list[str]:
    """The lines of a file.

    Raises:
      ConfigError: it cannot be read, is no text, or has an empty line before its end.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"--class_names={path} is no UTF-8 text: {error}.") from error
    except OSError as error:
        raise ConfigError(
            f"--class_names={path} cannot be read: {error.strerror}. Name a file of one name a "
            "line, in the order of the head."
        ) from error
    names = [line.strip() for line in text.rstrip().splitlines()]
    empty = [str(number) for number, name in enumerate(names, 1) if not name]
    if empty or not names:
        where = f"line {', '.join(empty)} is" if empty else "all of it is"
        raise ConfigError(f"--class_names={path}: {where} empty; write one name a line.")
    return names
