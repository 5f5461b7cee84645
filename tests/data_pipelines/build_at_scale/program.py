"""A build, run in an environment that may have no pytest: ``python program.py RESULT ARGUMENTS``.

Both are JSON: arguments, and the file of what the tests look at.
"""

import json
import logging
import pathlib
import sys


def _listing(arguments):
    from data_pipelines.annotations.entries import Entry, Listing

    splits = {
        split: [Entry(*entry) for entry in entries]
        for split, entries in arguments["splits"].items()
    }
    return Listing("scaled", ("jump", "run", "swim"), splits)


def build(arguments):
    """Builds a data set."""
    import data_pipelines.build

    logging.basicConfig()
    logging.getLogger("data_pipelines").setLevel(logging.INFO)
    reports = []
    manifest = data_pipelines.build.build(
        _listing(arguments),
        arguments["out"],
        data_pipelines.build.Settings(**arguments["settings"]),
        shards=arguments["shards"],
        workers=2,
        max_bad=1.0,
        beam=arguments["beam"],
        report=reports.append,
    )
    dropped = {
        split: [[one.video_id, one.kind, one.message] for one in content.files]
        for split, content in manifest.splits.items()
    }
    last = reports[-1] if reports else None
    return {
        "fingerprint": manifest.fingerprint,
        "dropped": dropped,
        "versions": dict(manifest.versions),
        "progress": last and [last.videos, last.total, last.resumed, last.dropped],
    }


if __name__ == "__main__":
    result, content = sys.argv[1:]
    pathlib.Path(result).write_text(json.dumps(build(json.loads(content))))
