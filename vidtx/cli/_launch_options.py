"""Options of ``vidtx launch``, by way."""

from vidtx.cli.arguments import Parser, whole_number

__all__ = ["common_options", "gke_options", "queued_options", "slurm_options", "tpu_vm_options"]


def common_options(parser: Parser) -> None:
    """Registers what all ways have."""
    parser.add_argument("--name", required=True, help="of the machine, the workload or the job")
    parser.add_argument("--config", required=True, help="path or name of the run's config")
    parser.add_argument("--workdir", required=True, metavar="DIR", help="the run directory")
    parser.add_argument("--data_dir", metavar="DIR", help="of data sets (default: the config's)")
    parser.add_argument("--dry_run", action="store_true", help="print it all, and run nothing")
    parser.add_argument(
        "--restarts",
        type=whole_number(0),
        default=20,
        metavar="N",
        help="how often to go on after a preemption or a stop (default: 20)",
    )
    parser.add_argument(
        "--create_option",
        action="append",
        default=[],
        metavar="OPTION",
        help="one more option of the command that creates the machine or the job",
    )


def _cloud_options(parser: Parser) -> None:
    parser.add_argument("--zone", required=True, help="such as us-west4-a")
    parser.add_argument("--project", help="of Google Cloud (default: what gcloud is set to)")
    parser.add_argument(
        "--accelerator", required=True, metavar="TYPE", help="such as v4-32, v5litepod-16, v6e-64"
    )
    parser.add_argument("--spot", action="store_true", help="cheaper; may be taken away")
    parser.add_argument("--detach", action="store_true", help="leave once it is started")


def tpu_vm_options(parser: Parser) -> None:
    """Registers the options of ``vidtx launch tpu-vm``."""
    _cloud_options(parser)
    parser.add_argument(
        "--package",
        default=".",
        metavar="WHAT",
        help="to install: a folder with the sources, a wheel, or a version (default: this folder)",
    )
    parser.add_argument("--runtime_version", help="of the machine (default: that of its type)")
    parser.add_argument("--service_account", metavar="EMAIL", help="default: the project's")
    parser.add_argument("--delete", action="store_true", help="the machine, when the run has ended")
    parser.add_argument(
        "--poll_seconds",
        type=whole_number(0),
        default=30,
        metavar="N",
        help="from one question about states to the next (default: 30)",
    )


def queued_options(parser: Parser) -> None:
    """Registers the options of ``vidtx launch queued``."""
    tpu_vm_options(parser)
    parser.add_argument("--slices", type=whole_number(1), default=1, metavar="N")
    parser.add_argument("--reserved", action="store_true", help="from the project's reservation")
    parser.add_argument(
        "--valid_for", metavar="TIME", help="queue so long at most each time, such as 12h"
    )


def gke_options(parser: Parser) -> None:
    """Registers the options of ``vidtx launch gke``."""
    _cloud_options(parser)
    parser.add_argument("--slices", type=whole_number(1), default=1, metavar="N")
    parser.add_argument("--cluster", required=True, help="name of the cluster")
    described = "such as us-west4-docker.pkg.dev/PROJECT/REPOSITORY/vidtx:1"
    parser.add_argument("--image", required=True, help=described)
    parser.add_argument(
        "--sources", metavar="DIR", help="build the image from these first, and push it"
    )
    parser.add_argument(
        "--create_cluster", action="store_true", help="create it, or bring it up to date, first"
    )
    parser.add_argument("--reservation", metavar="NAME", help="that a new cluster's machines use")
    parser.add_argument("--priority", default="medium", help="among workloads (default: medium)")


def slurm_options(parser: Parser) -> None:
    """Registers the options of ``vidtx launch slurm``."""
    parser.add_argument("--nodes", type=whole_number(1), required=True, metavar="N")
    described = "of each node; one process has all of them"
    parser.add_argument(
        "--gpus_per_node", type=whole_number(1), required=True, metavar="N", help=described
    )
    parser.add_argument("--cpus_per_node", type=whole_number(1), metavar="N", help="for decoding")
    parser.add_argument("--time", help="limit of the job, such as 24:00:00")
    parser.add_argument(
        "--stop_before",
        type=whole_number(1),
        default=120,
        metavar="SECONDS",
        help="the limit, to save the state; longer than a step and a save (default: 120)",
    )
    parser.add_argument("--partition")
    parser.add_argument("--account")
    parser.add_argument("--python", default="python", help="program that has vidtx, on all nodes")
    parser.add_argument(
        "--setup", action="append", default=[], metavar="LINE", help="of shell, to come before"
    )
