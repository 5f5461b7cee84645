"""``vidtx launch``: start a run on Cloud TPUs or on a GPU cluster."""

import argparse
import contextlib
import pathlib
from collections.abc import Iterator

from vidtx.cli._launch_options import (
    common_options,
    gke_options,
    queued_options,
    slurm_options,
    tpu_vm_options,
)
from vidtx.errors import ConfigError, StoppedError
from vidtx.launch import (
    Accelerator,
    GkeRun,
    QueuedSlices,
    SlurmRun,
    TpuRun,
    TpuVm,
    Training,
    carry_out,
    check_programs,
    read_accelerator,
    run,
)

__all__ = ["add_commands"]

_DESCRIPTION = """Starts a run elsewhere, by the commands of gcloud, xpk or Slurm, each of which is
shown. With --dry_run they are printed as a shell script, and nothing is run.

    vidtx launch queued --name=k400 --zone=us-west4-a --accelerator=v5litepod-16 --spot \\
      --config=k400_divided --workdir=gs://BUCKET/runs/k400 --data_dir=gs://BUCKET/data --dry_run

Options of the config, such as --config.train.global_batch=256, and what follows --, such as
-- --mode=eval, are given to vidtx.main. docs/launch.md goes from a Google Cloud project to a run.

Exit code: that of the run where it is followed; 2: wrong use; 7: a command failed or is missing.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx launch`` and its four ways."""
    parser = commands.add_parser(
        "launch", help="start a run on Cloud TPUs or a GPU cluster", description=_DESCRIPTION
    )
    ways = parser.add_subparsers(metavar="WAY", required=True, title="ways")
    for name, add, start, meaning in (
        ("tpu-vm", tpu_vm_options, _tpu_vm, "one TPU VM of its own, up to 8 chips"),
        ("queued", queued_options, _queued, "slices of many hosts, as a queued resource"),
        ("gke", gke_options, _gke, "slices of a GKE cluster, by xpk"),
        ("slurm", slurm_options, _slurm, "nodes of a GPU cluster under Slurm"),
    ):
        own = ways.add_parser(name, help=meaning, description=f"{meaning}. See docs/launch.md.")
        common_options(own)
        add(own)
        own.add_argument("flags", nargs="*", metavar="-- FLAG", help="more flags of vidtx.main")
        own.set_defaults(run=start, takes_config=True)


def _tpu_vm(options: argparse.Namespace) -> int:
    options.slices = 1
    return _on_machine(options, TpuVm)


def _queued(options: argparse.Namespace) -> int:
    return _on_machine(
        options, QueuedSlices, reserved=options.reserved, valid_for=options.valid_for
    )


def _on_machine(options: argparse.Namespace, kind: type, **more) -> int:
    problems: list[str] = []
    accelerator = _accelerator(options, problems)
    training = _on_tpus(options, accelerator, problems)
    if accelerator is not None and not (options.runtime_version or accelerator.family.runtime):
        problems.append(
            f"--accelerator={accelerator.name}: no software version for TPU VMs of "
            f"{accelerator.family.prefix} is known here: give --runtime_version, or use "
            "vidtx launch gke."
        )
    if training is None or accelerator is None:
        raise _refusal(problems)
    machine = kind(
        name=options.name,
        project=options.project,
        zone=options.zone,
        accelerator=accelerator,
        slices=options.slices,
        runtime=options.runtime_version or accelerator.family.runtime or "",
        spot=options.spot,
        service_account=options.service_account,
        options=tuple(options.create_option),
        **more,
    )
    plan = TpuRun(machine, training, options.package)
    _refuse([*problems, *plan.problems()])
    common = {
        "restarts": options.restarts,
        "seconds": options.poll_seconds,
        "detach": options.detach,
        "delete": options.delete,
    }
    if options.dry_run:
        print(plan.script(**common), end="")
        return 0
    with _leaving_it_alone():
        return carry_out(plan, **common)


def _gke(options: argparse.Namespace) -> int:
    problems: list[str] = []
    accelerator = _accelerator(options, problems)
    training = _on_tpus(options, accelerator, problems)
    if training is None or accelerator is None:
        raise _refusal(problems)
    reservation = [f"--reservation={options.reservation}"] if options.reservation else []
    plan = GkeRun(
        name=options.name,
        cluster=options.cluster,
        project=options.project,
        zone=options.zone,
        accelerator=accelerator,
        slices=options.slices,
        image=options.image,
        sources=None if options.sources is None else pathlib.Path(options.sources),
        create_cluster=options.create_cluster,
        capacity=(*(["--spot"] if options.spot else []), *reservation),
        priority=options.priority,
        training=training,
        options=tuple(options.create_option),
    )
    _refuse([*problems, *plan.problems()])
    common = {"restarts": options.restarts, "detach": options.detach}
    if options.dry_run:
        print(plan.script(**common), end="")
        return 0
    commands = plan.commands(**common)
    check_programs(commands)
    with _leaving_it_alone():
        for one in commands:
            run(one)
    return 0


def _slurm(options: argparse.Namespace) -> int:
    problems: list[str] = []
    devices = options.nodes * options.gpus_per_node
    training = _training(options, problems, devices, "gpu", in_cloud=False)
    if training is None:
        raise _refusal(problems)
    plan = SlurmRun(
        name=options.name,
        nodes=options.nodes,
        gpus=options.gpus_per_node,
        cpus=options.cpus_per_node,
        time=options.time,
        stop_before=options.stop_before,
        partition=options.partition,
        account=options.account,
        python=options.python,
        setup=tuple(options.setup),
        options=tuple(options.create_option),
        restarts=options.restarts,
        training=training,
    )
    _refuse([*problems, *plan.problems()])
    if options.dry_run:
        print(plan.script(), end="")
        return 0
    check_programs([plan.command()])
    run(plan.command())
    return 0


@contextlib.contextmanager
def _leaving_it_alone() -> Iterator[None]:
    """Says what Ctrl-C has not stopped."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(
            "Stopped following. What is created stays and costs money, and a run that is started "
            "goes on. --dry_run prints how to follow it again, to stop it and to delete it all."
        ) from None


def _on_tpus(
    options: argparse.Namespace, accelerator: Accelerator | None, problems: list[str]
) -> Training | None:
    count = None if accelerator is None else accelerator.devices * options.slices
    return _training(options, problems, count, "tpu", in_cloud=True)


def _training(
    options: argparse.Namespace,
    problems: list[str],
    count: int | None,
    platform: str,
    *,
    in_cloud: bool,
) -> Training | None:
    """The run, its config checked as far as that goes without its data.

    Args:
      options: of the command line.
      problems: what is wrong is added to them.
      count: devices that it will have, or None where that is not known.
      platform: of them.
      in_cloud: whether the machines begin with empty disks.
    """
    # Here, as other commands are to start quickly.
    import jax

    from data_pipelines import motions
    from vidtx.config import RunSpec, change, load_config, resolve
    from vidtx.config.load import experiments, find_config
    from vidtx.run.describe import Devices, problems_on
    from vidtx.run.setup import problems as problems_of

    def misfits(spec: RunSpec) -> Iterator[str]:
        if count is None:
            yield from problems_of(spec, None)
        else:
            yield from problems_on(spec, Devices(count, platform))
        # The embedded data set is made by each host, unless it is in a bucket already.
        made = spec.data.name == motions.NAME and spec.data.source == "tfds"
        # What --data_dir names is looked at with --workdir.
        changed = any(one.startswith("--config.data.data_dir") for one in options.changes)
        given = options.data_dir is not None and not changed
        if in_cloud and not (made or given or spec.data.data_dir.startswith("gs://")):
            yield (
                f"data.data_dir is {spec.data.data_dir!r}, and the machines begin with empty "
                "disks: give --data_dir=gs://BUCKET/data, with the data set in it."
            )

    # No accelerator of this machine is asked for, which another program may be using.
    jax.config.update("jax_platforms", "cpu")
    try:
        config = load_config(options.config)
        change(config, options.changes)
        resolve(config, misfits)
        path, _ = find_config(options.config)
    except ConfigError as error:
        problems.append(str(error))
        return None
    shipped = options.config.partition(":")[0] in experiments()
    return Training(
        config=options.config,
        config_path=None if shipped else path,
        workdir=options.workdir,
        data_dir=options.data_dir,
        changes=tuple(options.changes),
        flags=tuple(options.flags),
    )


def _accelerator(options: argparse.Namespace, problems: list[str]) -> Accelerator | None:
    try:
        return read_accelerator(options.accelerator)
    except ConfigError as error:
        problems.append(f"--accelerator: {error}")
        return None


def _refuse(problems: list[str]) -> None:
    if problems:
        raise _refusal(problems)


def _refusal(problems: list[str]) -> ConfigError:
    return ConfigError("\n".join(problems))
