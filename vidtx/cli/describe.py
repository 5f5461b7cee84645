"""``vidtx describe``: what a run would be, before anything runs."""

import argparse
import contextlib
import json
import os

from vidtx.cli.arguments import place, whole_number

__all__ = ["add_commands"]

_DESCRIPTION = """Tells what a run would be: its model and what that costs, clips, mesh and memory
of each device, length and learning rate, data set, and what it would begin with. Neither the data
set nor the devices need be there; nothing is computed, and nothing is changed.

    vidtx describe --config=k400_divided --workdir=runs/k400
    vidtx describe --config=k400_divided:l --devices=16 --config.mesh.sequence=4 --json

Without --devices, those that the mesh's axes ask for, or, where one of them is -1, those that are
here.

Exit code 0: nothing speaks against the run but, perhaps, that its data set is not there yet.
Another: training would refuse it, with that code, and all reasons are listed.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx describe``."""
    parser = commands.add_parser(
        "describe", help="tell what a run would be, before it runs", description=_DESCRIPTION
    )
    parser.add_argument("--config", required=True, help="path or name of a run's config")
    parser.add_argument(
        "--devices", type=whole_number(1), metavar="N", help="of the mesh, which need not be here"
    )
    parser.add_argument(
        "--platform",
        choices=("cpu", "gpu", "tpu"),
        help="of devices that are not here (default: tpu, or gpu where model.attention is cudnn)",
    )
    parser.add_argument(
        "--classes",
        type=whole_number(1),
        metavar="N",
        help="of a data set that is absent and none of the published ones",
    )
    described = "the run directory: is it new, or what would be resumed?"
    parser.add_argument("--workdir", type=place, metavar="DIR", help=described)
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    parser.set_defaults(run=run, takes_config=True)


def run(options: argparse.Namespace) -> int:
    """Describes and prints."""
    # Here, as building and auditing are to start without JAX.
    import jax

    from vidtx.cli._description import description_text
    from vidtx.config import RunSpec, change, load_config, resolve
    from vidtx.run.describe import Devices, describe, problems_on

    config = load_config(options.config)
    change(config, options.changes)

    def devices(spec: RunSpec) -> Devices:
        if options.devices or Devices.fixed(spec):
            # No accelerator is asked for, which another program may be using.
            jax.config.update("jax_platforms", "cpu")
            return Devices.of(spec, count=options.devices, platform=options.platform)
        # They are counted, and nothing is done on them.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        found = Devices.of(spec, platform=options.platform)
        with contextlib.suppress(RuntimeError):  # JAX_PLATFORMS may leave out the CPU
            jax.config.update("jax_default_device", jax.local_devices(backend="cpu")[0])
        return found

    spec = resolve(config, lambda spec: problems_on(spec, devices(spec)))
    found = describe(spec, devices(spec), classes=options.classes, workdir=options.workdir)
    print(json.dumps(found) if options.json else description_text(found))
    return next((reason["exit_code"] for reason in found["refused"]), 0)
