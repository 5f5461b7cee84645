"""Finding a config: a Python file with ``get_config``, by path or by its bare name."""

import importlib.resources
import pathlib
import re

from vidtx.errors import ConfigError


def experiments() -> dict[str, pathlib.Path]:
    """The configs that come with vidtx, by bare name."""
    folder = pathlib.Path(str(importlib.resources.files("experiments")))
    return {
        path.stem: path
        for path in sorted(folder.glob("*.py"))
        if re.search(r"^def get_config\(", path.read_text(), re.MULTILINE)
    }


def find_config(reference: str) -> str:
    """The path of a config, with the argument of its ``get_config`` behind a colon if there is one.

    Args:
      reference: ``path/to/file.py`` or a bare name such as ``k400_divided``; ``:argument`` may
        follow.

    Raises:
      ConfigError: there is no such file or name, or the file has no ``get_config``.
    """
    name, colon, argument = reference.partition(":")
    known = experiments()
    if name in known:
        return f"{known[name]}{colon}{argument}"
    path = pathlib.Path(name)
    if not path.is_file():
        raise ConfigError(
            f"--config={reference}: there is no file {name} and no experiment of that name. Give "
            f"the path of a Python file with get_config(), or one of: {', '.join(known)}."
        )
    if path.suffix != ".py" or not re.search(r"^def get_config\(", path.read_text(), re.MULTILINE):
        raise ConfigError(
            f"--config={reference}: {name} is no Python file that defines get_config(arg=None). "
            "See experiments/motions.py for one that does."
        )
    return reference
