"""Options of ``vidtx data build`` for building by Apache Beam, on many machines."""

import argparse
import shlex

from data_pipelines.extras import MissingExtraError, require
from vidtx.errors import ConfigError

__all__ = ["add_options", "beam_options"]


def add_options(add) -> None:
    """Registers the options.

    Args:
      add: ``add_argument`` of a parser, or of a group of one.
    """
    add(
        "--runner",
        metavar="RUNNER",
        help="build by Apache Beam: DirectRunner (this machine), DataflowRunner, FlinkRunner, "
        "SparkRunner or another; --videos and --out must then be where every worker finds them, in "
        "a bucket or on a shared file system (docs/at_scale.md)",
    )
    add(
        "--beam_options",
        metavar="OPTIONS",
        help='of the runner, in one string: --beam_options="--project=p --region=r"',
    )


def beam_options(options: argparse.Namespace) -> list[str] | None:
    """What the command line asks of Beam: its options, or None where it is not asked for.

    Raises:
      ConfigError: Apache Beam is not installed, or the options do not go together.
    """
    if options.runner is None:
        if options.beam_options is not None:
            raise ConfigError("--beam_options are those of --runner, which is missing.")
        return None
    if options.workers is not None:
        raise ConfigError(
            f"--workers={options.workers} are processes of a build without --runner; a runner has "
            'options of its own, such as --beam_options="--direct_num_workers=4" of DirectRunner, '
            "or --max_num_workers of DataflowRunner."
        )
    try:
        require("apache_beam", "beam", f"--runner={options.runner}")
        more = shlex.split(options.beam_options or "")
    except MissingExtraError as error:
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(f"--beam_options={options.beam_options}: {error}.") from error
    return [f"--runner={options.runner}", *more]
