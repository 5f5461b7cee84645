"""Finding a config, by path or by its bare name, and running its ``get_config``."""

import importlib.resources
import importlib.util
import inspect
import pathlib
import re
import traceback

from ml_collections import ConfigDict

from vidtx.errors import ConfigError

_DEFINITION = re.compile(r"^def get_config\(", re.MULTILINE)


def experiments() -> dict[str, pathlib.Path]:
    """The configs that come with vidtx, by bare name."""
    folder = pathlib.Path(str(importlib.resources.files("experiments")))
    return {path.stem: path for path in sorted(folder.glob("*.py")) if _defines_get_config(path)}


def _defines_get_config(path: pathlib.Path) -> bool:
    return bool(_DEFINITION.search(path.read_text(errors="replace")))


def find_config(reference: str) -> tuple[pathlib.Path, str | None]:
    """The path of a config, and the argument for its ``get_config`` if there is one.

    Args:
      reference: ``path/to/file.py`` or a bare name such as ``k400_divided``; ``:argument`` may
        follow.

    Raises:
      ConfigError: there is no such file or name, or the file has no ``get_config``.
    """
    if "://" in reference:
        raise ConfigError(
            f"--config={reference}: a config is run as Python, so it must lie on this machine. "
            "Copy it here, and name the copy."
        )
    name, _, argument = reference.partition(":")
    known = experiments()
    if name in known:
        return known[name], argument or None
    path = pathlib.Path(name)
    if not path.is_file():
        raise ConfigError(
            f"--config={reference}: there is no file {name} and no experiment of that name. Give "
            f"the path of a Python file with get_config(), or one of: {', '.join(known)}."
        )
    if path.suffix != ".py" or not _defines_get_config(path):
        raise ConfigError(
            f"--config={reference}: {name} is no Python file that defines get_config(arg=None). "
            "See experiments/motions.py for one that does."
        )
    return path, argument or None


def load_config(reference: str) -> ConfigDict:
    """The config that a file's ``get_config`` returns, before any change on the command line.

    Args:
      reference: as of `find_config`.

    Raises:
      ConfigError: it cannot be found, fails, takes no argument though one is given, or returns
        something else.
    """
    path, argument = find_config(reference)
    module_spec = importlib.util.spec_from_file_location(f"vidtx_config_{path.stem}", path)
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"--config={reference}: {path} fails: {_where(error, path)}") from error
    if argument is not None and not inspect.signature(module.get_config).parameters:
        raise ConfigError(
            f"--config={reference}: get_config() of {path} takes no argument, so leave out "
            f"':{argument}'."
        )
    try:
        config = module.get_config(*([] if argument is None else [argument]))
    except Exception as error:
        if argument is not None and isinstance(error, ValueError) and not _within(error, path):
            # What reads arguments refuses this one: that is no fault of the file.
            raise ConfigError(f"--config={reference}: {error}") from error
        raise ConfigError(
            f"--config={reference}: get_config of {path} fails: {_where(error, path)}"
        ) from error
    if not isinstance(config, ConfigDict):
        raise ConfigError(
            f"--config={reference}: get_config of {path} returns {type(config).__name__}; it must "
            "return an ml_collections.ConfigDict. Start from experiments.defaults."
        )
    return config


def _within(error: Exception, path: pathlib.Path) -> bool:
    """Whether a line of a config file raised an error, not something that it called."""
    return traceback.extract_tb(error.__traceback__)[-1].filename == str(path)


def _where(error: Exception, path: pathlib.Path) -> str:
    """What went wrong in a config file, and in which of its lines."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"
