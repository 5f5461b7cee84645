"""``vidtx export``: a trained model as a folder that answers without vidtx."""

import argparse
import json
import sys

from vidtx.cli._values import weights_place
from vidtx.cli.arguments import place
from vidtx.errors import ConfigError

__all__ = ["add_commands"]

_DESCRIPTION = """Writes a folder with a compiled program for CPU, GPU and TPU (jax.export), the
weights, the names of the classes, how clips are made of videos, reference clips with their answers,
and run.py, which answers for videos with neither vidtx nor flax installed.

    vidtx export --weights=runs/motions --out=exported
    vidtx export --weights=runs/motions/best --out=exported --check=clip.mp4
    vidtx export --verify exported
    python exported/run.py clip.mp4

The folder must be absent or empty; it appears whole, and only if the program answers the reference
clips as the model does. It is taken as --weights, too. docs/export.md has the rest.

Exit code 2: there are no such weights, or a folder that is not empty; 5: the video of --check
cannot be read; 6: the weights cannot be used, the program answers otherwise, or the folder is
damaged; 7: the disk is full.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx export``."""
    parser = commands.add_parser(
        "export", help="write a program that answers without vidtx", description=_DESCRIPTION
    )
    add = parser.add_argument
    add(
        "--weights",
        type=weights_place,
        metavar="SRC",
        help="a run directory, its best, one checkpoint, an exported folder, another library's "
        "file or hf:OWNER/NAME",
    )
    add("--out", type=place, metavar="FOLDER", help="that is written")
    add(
        "--platforms",
        default="cpu,cuda,rocm,tpu",
        help="that the program shall run on (default: cpu,cuda,rocm,tpu)",
    )
    add(
        "--check",
        type=place,
        metavar="VIDEO",
        help="whose clips are the reference (default: two that are made up)",
    )
    add(
        "--views", metavar="TxS", help="clips times crops of a video, in place of what is on record"
    )
    add(
        "--dtype",
        default="float32",
        choices=("float32", "bfloat16"),
        help="of the computation (default: float32)",
    )
    add(
        "--verify",
        type=place,
        metavar="FOLDER",
        help="instead: look at an exported folder's files, and have it answer its reference here",
    )
    add("--json", action="store_true", help="print the manifest as one JSON value")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exports or verifies, and prints."""
    problems = _problems(options)
    if problems:
        raise ConfigError("\n".join(problems))
    # Here, as building and auditing are to start without JAX.
    from vidtx.inference.export import export
    from vidtx.inference.exported import verify

    if options.verify is not None:
        found = verify(options.verify)
        if options.json:
            print(json.dumps(found.to_dict()))
            return 0
        print(
            f"{found.folder}: every file is as it was exported, and it answers on {found.platform} "
            f"as it did (largest difference of a logit {found.difference:.3g}; bound "
            f"{found.bound:.3g})"
        )
        return 0
    manifest = export(
        options.weights,
        options.out,
        platforms=[name.strip() for name in options.platforms.split(",") if name.strip()],
        check=options.check,
        views=options.views,
        dtype=options.dtype,
        note=lambda text: print(f"NOTE: {text}", file=sys.stderr),
    )
    if options.json:
        print(json.dumps(manifest))
        return 0
    reference, inputs = manifest["reference"], manifest["inputs"]
    print(
        f"{options.out}: written, for {', '.join(manifest['platforms'])}\n"
        f"  {inputs['weights']['parameters']:,} parameters, "
        f"{manifest['model']['num_classes']:,} classes, clips {inputs['clips']['shape']}\n"
        f"  it answers as the model does on {reference['platform']} (largest difference of a logit "
        f"{reference['difference']:.3g}, of {reference['of']})\n"
        f"  try it: python {options.out}/run.py VIDEO"
    )
    return 0


def _problems(options: argparse.Namespace) -> list[str]:
    if options.verify is not None:
        asked = {"--weights": options.weights, "--out": options.out, "--check": options.check}
        others = ", ".join(name for name, value in asked.items() if value is not None)
        return [f"--verify looks at a folder and writes none; leave out {others}."] * bool(others)
    needed = {"--weights=SRC": options.weights, "--out=FOLDER": options.out}
    lacking = " and ".join(name for name, value in needed.items() if value is None)
    return [f"Give {lacking}, or --verify FOLDER."] * bool(lacking)
