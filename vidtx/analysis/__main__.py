"""Prints parameters and multiply-adds of every scheme, as the paper's Table 1 counts them.

python -m vidtx.analysis
python -m vidtx.analysis --model=timesformer_l16 --frames=96 --classes=400

With --parameters=SCHEME, the names of a scheme's parameters, which the patterns of optimizer.freeze
and optimizer.groups match, with their shapes.
"""

import argparse
import os
import sys

from vidtx.analysis import count_macs, count_parameters, parameter_shapes
from vidtx.models import SCHEMES, TimeSformer, create_model


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m vidtx.analysis",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="timesformer_b16")
    parser.add_argument("--classes", type=int, default=174, help="174 as in the paper's Table 1")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--parameters", choices=tuple(SCHEMES), metavar="SCHEME")
    options = parser.parse_args(arguments)

    def create(scheme: str) -> TimeSformer:
        try:
            return create_model(
                options.model,
                scheme=scheme,
                num_classes=options.classes,
                num_frames=options.frames,
                image_size=options.image_size,
            )
        except ValueError as error:
            parser.error(str(error))

    if options.parameters:
        for name, shape in parameter_shapes(create(options.parameters)).items():
            print(f"{name}  {list(shape)}")
        return
    print("| scheme | steps | parameters | GMACs |\n| --- | --- | ---: | ---: |")
    for scheme in SCHEMES:
        model = create(scheme)
        steps = ", ".join(step.name for step in SCHEMES[scheme].steps)
        parameters = count_parameters(model)["total"]
        macs = count_macs(model).total / 1e9
        print(f"| {scheme} | {steps} | {parameters:,} | {macs:.2f} |")


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
