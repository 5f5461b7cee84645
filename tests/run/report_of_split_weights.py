"""``python -m tests.run.report_of_split_weights RESULT DATA_DIR WORKDIR``: on two devices."""

import json
import pathlib
import sys

from tests.tiny_run import arguments
from vidtx import main


def run():
    result, data_dir, workdir = sys.argv[1:]
    code = main.main(arguments(data_dir, workdir, **{"mesh.fsdp": 2}))
    pathlib.Path(result).write_text(json.dumps({"code": code}))


if __name__ == "__main__":
    run()
