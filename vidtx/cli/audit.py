"""``vidtx data audit``: is a data set what its build made, and can every frame be decoded?"""

import argparse
import collections
import functools
import json
import sys

from data_pipelines.audit import Audit, audit
from vidtx.cli._progress import Progress, megabytes
from vidtx.cli._signals import StopSignal
from vidtx.cli.arguments import place, whole_number
from vidtx.errors import DataQualityError

__all__ = ["add_command"]

_DESCRIPTION = """Reads every record of a data set, decodes every frame strictly, and compares all
of it with what the records say and with what the build has noted: shards and their checksums,
counts, names, labels and the class list, frames, sizes, rates, the content and the fingerprint.
Changes nothing.

    vidtx data audit data/ucf101

Exit code 0: sound. 5: there are problems, which are listed.
"""

_SHOWN = 20  # problems; --json has all


def add_command(commands: argparse._SubParsersAction) -> None:
    """Registers the command."""
    parser = commands.add_parser(
        "audit", help="read, decode and compare everything in a data set", description=_DESCRIPTION
    )
    described = "DATA_DIR/NAME or DATA_DIR/NAME/VERSION"
    parser.add_argument("folder", type=place, metavar="DIR", help=described)
    parser.add_argument(
        "--workers", type=whole_number(1), metavar="N", help="processes (default: one a core)"
    )
    parser.add_argument("--quick", action="store_true", help="read everything, decode no frame")
    parser.add_argument("--json", action="store_true", help="print all that was found, as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Audits the data set."""
    show = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    stop = StopSignal("stopping.", "Nothing was changed; the same command audits from the start.")
    with stop, Progress("records") as progress:
        found = audit(
            options.folder,
            workers=options.workers,
            decode=not options.quick,
            report=lambda done, total, bad: progress.update(done, total, f"{bad:,} problems"),
            between=stop.check,
        )
    show(audit_text(found))
    if options.json:
        print(json.dumps(found.to_dict()))
    return DataQualityError.exit_code if found.problems else 0


def audit_text(found: Audit) -> str:
    """What an audit found, for a person."""
    # Here, as the tables' neighbours in that room draw pictures, which takes long to import.
    from vidtx.reporting import format_table

    rows = [
        (
            name,
            f"{split.shards:,}",
            f"{split.records:,}",
            f"{split.unlabelled:,}",
            f"{split.frames:,}",
            megabytes(split.num_bytes),
        )
        for name, split in found.splits.items()
    ]
    headers = ("split", "shards", "records", "without label", "frames", "size")
    lines = [
        f"{found.name} {found.version}: {found.classes:,} classes, fingerprint "
        f"{found.fingerprint or 'unknown, as a part is missing'}",
        format_table(rows, headers),
        *found.unchecked,
    ]
    if not found.problems:
        return "\n".join([*lines, "The data set is sound."])
    lines += map(str, found.problems[:_SHOWN])
    if len(found.problems) > _SHOWN:
        lines.append(f"… and {len(found.problems) - _SHOWN:,} more; --json prints all.")
    kinds = collections.Counter(problem.kind for problem in found.problems)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    noun = "problem" if len(found.problems) == 1 else "problems"
    return "\n".join([*lines, f"{len(found.problems):,} {noun}: {counts}."])
