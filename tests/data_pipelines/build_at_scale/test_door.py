"""What the command line asks of Beam and of TensorFlow, and says where they are not installed."""

import importlib.util

import pytest

from vidtx.cli import beam, import_frames
from vidtx.cli.arguments import Parser
from vidtx.errors import ConfigError


def without(module):
    return pytest.mark.skipif(importlib.util.find_spec(module), reason=f"{module} is installed")


def beam_options(*arguments):
    parser = Parser()
    beam.add_options(parser.add_argument)
    parser.add_argument("--workers", type=int)
    return beam.beam_options(parser.parse_args(arguments))


def bring_in(*arguments):
    parser = Parser()
    import_frames.add_command(parser.add_subparsers())
    options = parser.parse_args(["import", *arguments])
    return options.run(options)


def test_beam_is_left_alone_unless_it_is_asked_for():
    assert beam_options() is None
    assert beam_options("--workers=2") is None


@without("apache_beam")
def test_without_beam_it_is_said_how_to_install_it():
    with pytest.raises(ConfigError, match=r"needs apache_beam.*pip install 'vidtx\[beam\]'"):
        beam_options("--runner=DataflowRunner", "--beam_options=--project=p --region=r")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam_options=--project=p"], "those of --runner, which is missing"),
        (["--runner=DirectRunner", "--workers=3"], "--workers=3 are processes"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        beam_options(*arguments)


def test_options_of_a_runner_are_split_as_a_shell_does(monkeypatch):
    monkeypatch.setattr(beam, "require", lambda *_: None)
    options = beam_options("--runner=X", """--beam_options=--a=1 --labels='b c' """)
    assert options == ["--runner=X", "--a=1", "--labels=b c"]
    with pytest.raises(ConfigError, match="No closing quotation"):
        beam_options("--runner=X", "--beam_options=--labels='b")


@without("tensorflow")
def test_an_import_without_tensorflow_says_how_to_install_it(tmp_path):
    with pytest.raises(ConfigError, match=r"needs tensorflow.*pip install 'vidtx\[tf\]'"):
        bring_in("ucf101", f"--out={tmp_path}", "--fps=25")


def test_an_import_wants_a_rate_above_zero(tmp_path):
    with pytest.raises(ConfigError, match="must be a number above 0"):
        bring_in("ucf101", f"--out={tmp_path}", "--fps=0")
