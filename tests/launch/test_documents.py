"""docs/launch.md shows what dry runs print, and the Dockerfile names what there is."""

import configparser
import pathlib
import re
import shlex

import pytest

from tests.tiny_run import ROOT
from vidtx.cli import main

GUIDE = (ROOT / "docs" / "launch.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROGRAMS = ("docker build", "gcloud compute tpus", "gcloud storage buckets describe", "kubectl",
            "xpk")  # fmt: skip


def blocks():
    """The commands of the guide, each one line: of indented text, broken lines put together."""
    lines = [line.strip() for line in GUIDE.splitlines() if line.startswith("    ")]
    return [" ".join(line.split()) for line in "\n".join(lines).replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="module")
def printed():
    """Everything that the dry runs of the guide print, a command a line."""
    import contextlib
    import io

    texts = []
    with contextlib.chdir(ROOT):
        for block in blocks():
            if block.startswith("vidtx launch"):
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    assert main(shlex.split(block)[1:]) == 0
                texts.append(out.getvalue().replace("\n# ", "\n").replace("\\\n", ""))
    assert len(texts) == 4
    return [" ".join(line.split()) for line in "\n".join(texts).splitlines()]


@pytest.mark.parametrize("line", [line for line in blocks() if line.startswith(PROGRAMS)])
def test_the_guide_shows_what_a_dry_run_prints(printed, line):
    assert line in printed


def test_the_guide_shows_each_way_and_most_of_what_it_does():
    shown = [line for line in blocks() if line.startswith(PROGRAMS)]
    assert len(shown) >= 10
    for way in ("tpu-vm", "queued", "gke", "slurm"):
        assert f"vidtx launch {way} " in GUIDE
    for code in range(1, 8):
        assert re.search(rf"\b{code}\b", GUIDE)


def test_the_table_of_types_is_what_the_commands_use():
    from vidtx.launch import read_accelerator

    rows = re.findall(
        r"^\| `([\w-]+)` \| (\d+) \| `(\S+)` \| (\d+) \| (\d+) \| (.*) \|$", GUIDE, re.M
    )
    assert len(rows) == 6
    for name, chips, topology, hosts, hosts_of_gke, runtime in rows:
        found = read_accelerator(name)
        assert (found.chips, found.compile_topology) == (int(chips), topology)
        assert (found.hosts(), found.hosts(gke=True)) == (int(hosts), int(hosts_of_gke))
        assert (found.family.runtime or "none known") in runtime


def test_the_image_is_made_of_what_there_is():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = set(setup["options.extras_require"])
    assert {"tpu", "cuda", "gcs"} <= extras
    assert 'tpu|cuda) extras="$EXTRA,gcs"' in DOCKERFILE
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line.startswith("!")]  # fmt: skip
    assert all((ROOT / name).exists() for name in kept)
    # The wheel's packages and what its metadata names.
    wanted = {"pyproject.toml", "setup.cfg"} | {
        name.strip().removesuffix("*") for name in setup["options.packages.find"]["include"].split()
    }
    wanted |= {setup["metadata"]["long_description"].removeprefix("file:").strip()}
    wanted |= set(setup["metadata"]["license_files"].split())
    assert wanted <= set(kept)


def test_the_image_runs_the_door_as_somebody_who_may_do_little():
    lines = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line[:1].isupper()]
    words = dict(lines)  # of several, the last
    assert words["ENTRYPOINT"] == '["python", "-m", "vidtx.main"]'
    assert words["USER"] == "$RUN_AS"
    assert ["ARG", "RUN_AS=vidtx"] in lines
    assert ["ARG", "EXTRA=tpu"] in lines
    python = re.search(r"python:(\d+)\.(\d+)", words["FROM"])
    assert (int(python[1]), int(python[2])) >= (3, 11)
    assert pathlib.PurePosixPath(words["WORKDIR"]).is_absolute()
