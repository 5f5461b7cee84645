"""Specifications of what ``vidtx benchmark`` measures, from its command line."""

import argparse
import difflib
import re
from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from vidtx.config import RunSpec, change, load_config, resolve
from vidtx.errors import ConfigError

__all__ = ["compared", "resolved"]

_COMPARE = re.compile(r"(?P<option>[\w.]+)=(?P<values>.+)", re.DOTALL)
# Commas between values, and not those within the brackets of one.
_COMMA = re.compile(r",(?![^(\[]*[)\]])")

Checks = Callable[[RunSpec], Iterator[str]]


def resolved(options: argparse.Namespace, checks: Checks) -> RunSpec:
    """The run that a command line names.

    Args:
      options: with ``config`` and ``changes``.
      checks: what else could be wrong with it, as of `resolve`.

    Raises:
      ConfigError: something is; the message lists all.
    """
    return resolve(_config(options), checks)


def compared(
    options: argparse.Namespace, checks: Checks
) -> tuple[str, dict[str, RunSpec | str], RunSpec]:
    """The runs that ``--compare`` names, which differ in one option.

    Args:
      options: with ``config``, ``changes`` and ``compare``.
      checks: what could hinder a run on these devices, a sentence each.

    Returns:
      The option; by value, the run, or why it cannot run here; and the run of the first value,
      whether it can or not.

    Raises:
      ConfigError: there is no such option, or a value cannot be one of it.
    """
    option, values = _parse(options.compare, _config(options))
    configs = {value: _config(options) for value in values}
    problems = []
    for value, config in configs.items():
        try:
            change(config, [f"--config.{option}={value}"])
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems).replace("--config.", "--compare="))
    specs = {value: resolve(config) for value, config in configs.items()}
    found = {value: " ".join(checks(spec)) or spec for value, spec in specs.items()}
    return option, found, next(iter(specs.values()))


def _config(options: argparse.Namespace) -> ConfigDict:
    config = load_config(options.config)
    change(config, options.changes)
    return config


def _parse(text: str, config: ConfigDict) -> tuple[str, list[str]]:
    match = _COMPARE.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"--compare={text}: write it as OPTION=VALUE,VALUE, such as model.remat=none,full."
        )
    option = match["option"].removeprefix("config.")
    values = [value.strip() for value in _COMMA.split(match["values"])]
    known = list(_names(config))
    if option not in known:
        # By its last word too: remat is model.remat.
        close = [name for name in known if name.rpartition(".")[2] == option]
        close += difflib.get_close_matches(option, known, n=3)
        hint = f"did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
        raise ConfigError(
            f"--compare={option}: the config has no such option; "
            f"{hint or 'experiments/defaults.py lists all.'}"
        )
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice or "" in values:
        fault = f"gives {', '.join(twice)} twice" if twice and "" not in twice else "has no value"
        raise ConfigError(f"--compare={text} {fault}; give each value once, between commas.")
    return option, values


def _names(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Dotted names of all options."""
    for name in config:
        if isinstance(config[name], ConfigDict):
            yield from _names(config[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
