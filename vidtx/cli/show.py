"""``vidtx data show``: a picture of the clips that a config cuts out of its videos."""

import argparse

from vidtx.cli.arguments import place, whole_number

__all__ = ["add_command"]

_DESCRIPTION = """Draws clips beside their videos: which frames were taken, when they are, what was
cut out of them, and what the model is fed.

    vidtx data show --config=k400_divided --config.data.data_dir=data --out=sheet.png
    vidtx data show --config=motions --mode=eval --clips=4 --out=views.png

Training clips are those of a batch of that very run: its order, its seed, its augmentation. Options
are changed as for training: --config.data.frames=16.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "show", help="draw clips as a config cuts them", description=_DESCRIPTION
    )
    parser.add_argument("--config", required=True, help="path or name of a run's config")
    described = "the picture, such as sheet.png"
    parser.add_argument("--out", required=True, type=place, metavar="FILE", help=described)
    parser.add_argument(
        "--mode",
        choices=("train", "eval"),
        default="train",
        help="training clips, or all evaluation views of the first videos (default: train)",
    )
    parser.add_argument(
        "--split", help="other than the config's, such as validation or train[:10%%]"
    )
    parser.add_argument(
        "--clips",
        type=whole_number(1),
        metavar="N",
        help="clips of the batch (default: 8), or videos with --mode=eval (default: 2)",
    )
    parser.add_argument(
        "--step",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="the batch that step N of training gets (default: 0)",
    )
    parser.add_argument(
        "--frames",
        type=whole_number(1),
        default=8,
        metavar="N",
        help="of longer clips, show so many, evenly spaced (default: 8)",
    )
    parser.set_defaults(run=run, takes_config=True)


def run(options: argparse.Namespace) -> int:
    """Draws the picture."""
    # Here, as building and auditing are to start without JAX.
    import jax

    from vidtx.config import change, load_config, resolve
    from vidtx.run import problems_without_devices
    from vidtx.run.show import draw_sheet

    # A few clips are no work for an accelerator, which another program may be using.
    jax.config.update("jax_platforms", "cpu")
    config = load_config(options.config)
    change(config, options.changes)
    path = draw_sheet(
        resolve(config, problems_without_devices),
        options.out,
        mode=options.mode,
        split=options.split,
        clips=options.clips or (8 if options.mode == "train" else 2),
        step=options.step,
        max_frames=options.frames,
    )
    print(path)
    return 0
