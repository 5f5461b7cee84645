"""``vidtx compile``: compile a run's step for a TPU that is not there."""

import argparse
import json

from vidtx.cli.arguments import whole_number

__all__ = ["add_commands"]

_DESCRIPTION = """Compiles the step that a run would execute on a TPU slice, with libtpu's compiler
and without a TPU, and reports what it takes: memory by kind, work and traffic of a clip, the time
that several models give it, and communication between devices. Nothing is read, allocated or run.

    vidtx compile --config=k400_divided --topology=v5e:4x4
    vidtx compile --config=k400_divided --topology=v5p:2x2x2 --mode=eval --json
    vidtx compile --config=k400_divided --topology=v6e:16x16 --slices=2 --config.mesh.fsdp=4

A topology is a generation (v4, v5e, v5p, v6e, tpu7x) and its grid of chips. Figures are of one
device, which is a chip but on tpu7x, where it is half of one.

They are models, to compare configs by; a real run waits for memory and for data as well:
  - memory is as the compiler has laid it out, and so are kind, count and bytes of communication;
  - FLOPs are those of all products in the program, HBM bytes what its instructions take and return,
    each once and in whole tiles, unless it lies in vector memory (XLA's own "bytes accessed", which
    --json also gives, counts that too, about 2.5 times as much);
  - cycles are the compiler's own estimate of each instruction: matrix and vector units and layouts,
    but neither Pallas kernels, which are taken to run at the chip's peak, nor communication;
  - the roofline is the larger of products at the bfloat16 peak and HBM bytes at its bandwidth, the
    bound on MFU the model's own FLOPs against the slower of roofline and cycles;
  - communication sends what a ring would, over all links of a chip at once.
Loops (model.scan_layers, train.accumulate) are multiplied out.

Exit code 7: libtpu is missing, or the step does not fit; the message says what would make it fit.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx compile``."""
    parser = commands.add_parser(
        "compile", help="compile a step for a TPU that is not there", description=_DESCRIPTION
    )
    parser.add_argument("--config", required=True, help="path or name of a run's config")
    parser.add_argument(
        "--topology", required=True, metavar="CHIP:GRID", help="such as v5e:4x4 or v5p:2x2x2"
    )
    parser.add_argument(
        "--slices",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="so many such slices, joined by the data centre's network (default: 1)",
    )
    parser.add_argument(
        "--mode",
        choices=("train", "eval"),
        default="train",
        help="the step of training, or of evaluation (default: train)",
    )
    parser.add_argument(
        "--classes",
        type=whole_number(1),
        metavar="N",
        help="of a data set that vidtx does not know",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    parser.set_defaults(run=run, takes_config=True)


def run(options: argparse.Namespace) -> int:
    """Compiles and prints."""
    # Here, as building and auditing are to start without JAX.
    import jax

    from vidtx.analysis.topology import read_topology
    from vidtx.config import change, load_config, resolve
    from vidtx.run.compile import compile_step, problems_on

    # An accelerator of this machine, if it has one, may be in use, and is not needed.
    jax.config.update("jax_platforms", "cpu")
    topology = read_topology(options.topology, options.slices)
    config = load_config(options.config)
    change(config, options.changes)
    spec = resolve(config, problems_on(topology.devices()))
    report = compile_step(spec, topology, mode=options.mode, num_classes=options.classes)
    print(json.dumps(report.to_dict()) if options.json else report.text())
    return 0
