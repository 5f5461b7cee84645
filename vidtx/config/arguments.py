"""The arguments that a config can be given, where its file lists them as ``ARGUMENTS``."""

import re
import runpy
from collections.abc import Sequence

from vidtx.config.load import find_config
from vidtx.errors import ConfigError

# They name directories.
_ARGUMENT = re.compile(r"[\w+=-][\w.+=-]*")


def compared_arguments(reference: str, wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """The arguments that a comparison gives a config's ``get_config``, each a row.

    Args:
      reference: path or name of the config, as of `find_config`, without ``:argument``.
      wanted: takes these, in this order, instead of all ``ARGUMENTS`` of the file.

    Raises:
      ConfigError: the file cannot be found or fails, lists no ``ARGUMENTS`` though none are wanted,
        or lists others than are wanted; or an argument is given twice or names no directory.
    """
    path, argument = find_config(reference)
    if argument is not None:
        raise ConfigError(
            f"--config={reference}: a comparison gives the arguments itself; leave out "
            f"':{argument}', or write --arguments={argument}."
        )
    try:
        module = runpy.run_path(str(path), run_name=f"vidtx_config_{path.stem}")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"--config={reference}: {path} fails: {reason}") from error
    listed = module.get("ARGUMENTS")
    if listed is None and wanted is None:
        raise ConfigError(
            f"--config={reference}: {path} lists no ARGUMENTS, so it is not known what to compare. "
            "Name what get_config is to be given, such as --arguments=space,joint, or write "
            'ARGUMENTS = ("space", "joint") into the file.'
        )
    strings = isinstance(listed, tuple | list) and all(isinstance(item, str) for item in listed)
    if listed is not None and not strings:
        raise ConfigError(
            f"--config={reference}: ARGUMENTS of {path} is {listed!r}; it must be a tuple of "
            "strings."
        )
    arguments = tuple(listed if wanted is None else wanted)
    unknown = [item for item in arguments if listed is not None and item not in listed]
    if unknown:
        raise ConfigError(
            f"--arguments: {path} does not list {', '.join(map(repr, unknown))}; its ARGUMENTS are "
            f"{', '.join(listed)}."
        )
    _check_names(arguments)
    return arguments


def _check_names(arguments: Sequence[str]) -> None:
    if not arguments:
        raise ConfigError("There is nothing to compare: no argument is given. See --arguments.")
    twice = sorted({item for item in arguments if arguments.count(item) > 1})
    if twice:
        raise ConfigError(f"Given twice as an argument: {', '.join(twice)}. Each is one row.")
    odd = [item for item in arguments if not _ARGUMENT.fullmatch(item)]
    if odd:
        raise ConfigError(
            f"The argument {odd[0]!r} cannot name a directory; use letters, digits and _ + = - ."
        )
