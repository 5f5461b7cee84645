"""Changing a config by options such as ``--config.train.global_batch=256``."""

import difflib
import re
from collections.abc import Iterator, Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from vidtx.errors import ConfigError

_OPTION = re.compile(r"--?config\.(?P<key>\w+(\.\w+)*)=(?P<value>.*)", re.DOTALL)


def is_option(argument: str) -> bool:
    """Whether an argument of a command line changes a config."""
    return argument.startswith(("--config.", "-config."))


def change(config: ConfigDict, options: Sequence[str]) -> None:
    """Applies options to a config, in order.

    Args:
      config: is changed.
      options: each ``--config.key=value``; ``None`` is a value of its own.

    Raises:
      ConfigError: unknown keys or values of a wrong type; the message lists all.
    """
    problems = []
    for option in options:
        problems.extend(_change(config, option))
    if problems:
        raise ConfigError("\n".join(problems))


def _change(config: ConfigDict, option: str) -> Iterator[str]:
    match = _OPTION.fullmatch(option)
    if match is None:
        yield f"{option}: write it as --config.key=value."
        return
    group, name = config, "config"
    for part in match["key"].split("."):
        known = list(group) if isinstance(group, ConfigDict) else []
        if part not in known:
            close = difflib.get_close_matches(part, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "experiments/defaults.py lists all."
            yield f"--config.{match['key']}: {name} has no key {part!r}; {hint}"
            return
        group, name = group[part], f"{name}.{part}"
    text = isinstance(group, str)
    if match["value"] == "None" or (match["value"].lower() == "none" and not text):
        # config_flags reads no text as None. Of what holds a text, "none" may be one.
        config.update_from_flattened_dict({match["key"]: None})
        return
    values = flags.FlagValues()
    command = ["", option]
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=command)
        values(command)
    except (flags.Error, TypeError, ValueError) as error:
        yield f"{option}: {_reason(error)}"


def _reason(error: Exception) -> str:
    """What went wrong, without the flag's name that is told already."""
    return re.sub(r"^flag --[\w.]+=.*?: ", "", str(error).rstrip("."), flags=re.DOTALL) + "."


def read_flags(values: flags.FlagValues, program: str, arguments: Sequence[str]) -> None:
    """Reads what a command line gives to the flags that are defined, and to ``--help``.

    Raises:
      ConfigError: a flag is unknown or has an impossible value, or there is something else.
    """
    flags.DEFINE_boolean("help", False, "Show this help.", flag_values=values, short_name="h")
    try:
        unexpected = values([program, *arguments])[1:]
    except flags.Error as error:
        raise ConfigError(f"{str(error).rstrip('.? ')}. See --help.") from error
    if unexpected:
        raise ConfigError(
            f"Unexpected argument {unexpected[0]!r}; options begin with --. See --help."
        )
