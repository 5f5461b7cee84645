"""Videos, a built data set, and the command as a function, for the tests of the command line."""

import json
import types

import pytest

from tests.cli.described import options
from tests.data_pipelines.conftest import make_frames, write_video  # noqa: F401  fixtures
from vidtx.cli import main
from vidtx.config import change, load_config, resolve


@pytest.fixture(scope="session")
def videos(tmp_path_factory, make_frames, write_video):  # noqa: F811
    """A folder of videos in folders of classes below folders of splits, with awkward names."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(9):
        folder = (
            root / ("val" if number % 3 == 2 else "train") / ("fall down", "get#up")[number % 2]
        )
        folder.mkdir(parents=True, exist_ok=True)
        video = write_video(make_frames(15 * (1 + number % 2), 36, 64, seed=number))
        (folder / f"-clip {number}.mp4").write_bytes(video)
    (root / "train" / "notes.txt").write_text("no video")
    return root


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory, videos):
    """A folder with the data set ``mine`` of these videos; not to be changed."""
    out = tmp_path_factory.mktemp("data")
    assert main(build_arguments(videos, out)) == 0
    return out


def build_arguments(videos, out, *more):
    return ["data", "build", "folder", f"--videos={videos}", f"--out={out}", "--name=mine",
            "--short_side=32", "--shards=2", "--workers=1", *more]  # fmt: skip


@pytest.fixture
def build_command():
    """Returns f(videos, out, *more) -> the arguments of a small build."""
    return build_arguments


@pytest.fixture
def command(capsys):
    """Returns f(*arguments, code=0) -> what a command prints: out, err, and json."""

    def run(*arguments, code=0):
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        parsed = json.loads(out) if "--json" in arguments else None
        return types.SimpleNamespace(out=out, err=err, json=parsed)

    return run


@pytest.fixture
def spec_of():
    """Returns f(data_dir, **changes) -> the run specification that `describe` is given."""

    def make(data_dir, **changes):
        config = load_config("motions")
        change(config, options(data_dir, **changes))
        return resolve(config)

    return make
