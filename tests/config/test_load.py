import importlib.util
import pathlib

import pytest

from vidtx import run
from vidtx.config import differences, experiments, find_config, load_config, resolve, to_dict
from vidtx.errors import ConfigError
from vidtx.models import SCHEMES

GOOD = "def get_config(arg=None):\n    return {}\n"


def load(path):
    """The module of a config file."""
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


def with_a_length(config):
    """The config as its command line would complete it, where it leaves the length open."""
    if config.train.steps is None and config.train.epochs is None:
        config.train.steps = 10
    return config


def test_every_file_that_has_get_config_is_an_experiment():
    found = experiments()
    assert {"motions", "k400_divided"} <= found.keys()
    assert not {"defaults", "__init__"} & found.keys()
    assert all(path.is_file() and path.stem == name for name, path in found.items())


@pytest.mark.parametrize("name", experiments())
def test_every_experiment_resolves(name):
    path = experiments()[name]
    config = load(path).get_config()
    spec = resolve(with_a_length(config), run.problems)
    assert spec.name != "unnamed"
    # The command that starts it stands in its docstring.
    door = "compare" if hasattr(load(path), "ARGUMENTS") else "main"
    assert f"python -m vidtx.{door} --config=experiments/{name}.py" in load(path).__doc__


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", sorted(experiments().keys() - {"table4"}))
def test_every_experiment_takes_a_scheme(name, scheme):
    module = load(experiments()[name])
    spec = resolve(with_a_length(module.get_config(scheme)), run.problems)
    assert spec.model.scheme == scheme
    assert scheme in spec.name
    plain = resolve(with_a_length(module.get_config()), run.problems)
    if scheme != plain.model.scheme:
        (line,) = differences(to_dict(plain), to_dict(spec))
        assert line.startswith("model.scheme: ")


@pytest.mark.parametrize("name", ["table1", "table4"])
def test_the_rows_of_a_table_differ_in_one_option_alone(name):
    module = load(experiments()[name])
    plain = to_dict(resolve(with_a_length(module.get_config()), run.problems))
    option = {"table1": "model.scheme", "table4": "model.position_embedding"}[name]
    for argument in module.ARGUMENTS:
        row = to_dict(resolve(with_a_length(module.get_config(argument)), run.problems))
        changed = [line.partition(":")[0] for line in differences(plain, row)]
        assert changed in ([option], [])
        assert row["model"][option.removeprefix("model.")] == argument


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ConfigError, match=r"(?s)--config=motions:diagonal: .*'diagonal'.*divided"):
        load_config("motions:diagonal")
    config = load_config("motions")
    config.model.scheme = "diagonal"
    with pytest.raises(ConfigError, match=r"Unknown attention scheme 'diagonal'.*divided"):
        resolve(config, run.problems)


def test_a_bare_name_is_found_wherever_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, argument = find_config("motions")
    assert path.is_absolute()
    assert path == experiments()["motions"]
    assert argument is None


def test_an_argument_stands_behind_a_colon(tmp_path):
    assert find_config("motions:joint") == (experiments()["motions"], "joint")
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    assert find_config(f"{path}:a:b") == (path, "a:b")


def test_a_path_is_taken_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    assert find_config(str(path)) == (path, None)
    monkeypatch.chdir(tmp_path)
    assert find_config("mine.py") == (pathlib.Path("mine.py"), None)


@pytest.mark.parametrize("reference", ["nothing", "nowhere/nothing.py", "nothing.py:joint", ""])
def test_what_is_not_there_is_told_with_what_there_is(reference):
    with pytest.raises(ConfigError) as caught:
        find_config(reference)
    assert f"--config={reference}: there is no file" in str(caught.value)
    assert "motions" in str(caught.value)


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        find_config(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.py", ""),
        ("other.py", "def get_configuration():\n    pass\n"),
        ("nested.py", "class A:\n    def get_config(self):\n        pass\n"),
        ("text.txt", GOOD),
        ("config.json", "{}"),
    ],
)
def test_a_file_without_get_config_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ConfigError, match=f"{name} is no Python file that defines get_config"):
        find_config(str(path))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "movie.py"
    path.write_bytes(b"\xff\xfe\x00\x80" * 10)
    with pytest.raises(ConfigError):
        find_config(str(path))


@pytest.mark.parametrize(
    ("content", "reference", "fragments"),
    [
        ("def get_config(:\n    pass\n", "bad.py", ["SyntaxError", "line 1"]),
        (
            "import nothing_such\ndef get_config():\n    pass\n",
            "bad.py",
            ["nothing_such", "line 1"],
        ),
        ("def get_config():\n    return 1 / 0\n", "bad.py", ["ZeroDivisionError", "line 2"]),
        ("def get_config():\n    return 1\n", "bad.py:joint", ["takes no argument", "':joint'"]),
        ("def get_config(arg=None):\n    return {}\n", "bad.py", ["returns dict", "ConfigDict"]),
        ("def get_config(arg=None):\n    pass\n", "bad.py", ["returns NoneType"]),
    ],
)
def test_a_config_file_that_fails_is_told_with_its_line(tmp_path, content, reference, fragments):
    (tmp_path / "bad.py").write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path / reference))
    assert all(fragment in str(caught.value) for fragment in ["bad.py", *fragments])


def test_the_argument_reaches_get_config():
    assert load_config("motions:axial").model.scheme == "axial"
    assert load_config("motions").model.scheme == "divided"
