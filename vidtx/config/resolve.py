"""From a config's tree of values to a frozen specification, or to a list of all that is wrong."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vidtx.config.specs import MAY_CHANGE, RunSpec
from vidtx.errors import ConfigError

_MISSING = object()


def resolve(
    config: Mapping[str, Any], checks: Callable[[RunSpec], Iterable[str]] = lambda spec: ()
) -> RunSpec:
    """The run specification of a config.

    Args:
      config: a `ConfigDict`, or any nested mapping, with the names of `RunSpec`.
      checks: lists what else is impossible about a specification of sound types, a sentence each.

    Raises:
      ConfigError: unknown or absent keys, wrong types or impossible values; the message lists all.
    """
    problems: list[str] = []
    spec = _resolve(RunSpec, config, "", problems)
    mistyped = bool(problems)
    for more in (*spec.problems(), lambda: checks(spec)):
        try:
            problems.extend(more())
        except (TypeError, AttributeError, ValueError):
            # Values of a wrong type, told already, cannot always be asked what else is wrong.
            if not mistyped:
                raise
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        listing = "\n".join(f"  - {problem}" for problem in problems)
        raise ConfigError(f"The config has {count}:\n{listing}")
    return spec


def to_dict(spec: Any) -> dict[str, Any]:
    """A specification as nested dictionaries and lists, ready for JSON."""

    def plain(value):
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return plain(spec)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where two resolved configs differ in what decides the trained model, a line each.

    Args:
      then: nested dictionary of the run that exists.
      now: the same of the run that is asked for.
    """
    before, after = dict(_flatten(then)), dict(_flatten(now))
    return [
        f"{key}: {before.get(key)!r} then, {after.get(key)!r} now"
        for key in sorted(before.keys() | after.keys())
        if key not in MAY_CHANGE and before.get(key) != after.get(key)
    ]


def _flatten(tree: Mapping[str, Any], prefix: str = ""):
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _resolve(spec_type: type, config: Any, prefix: str, problems: list[str]) -> Any:
    if not isinstance(config, Mapping) and not hasattr(config, "items"):
        problems.append(
            f"{prefix.rstrip('.') or 'config'} is {config!r}; expected a group of keys."
        )
        return None
    given = dict(config.items())
    hints = typing.get_type_hints(spec_type)
    for key in given.keys() - hints.keys():
        close = difflib.get_close_matches(key, hints, n=1)
        hint = f"did you mean {prefix}{close[0]}?" if close else f"known are {', '.join(hints)}."
        problems.append(f"Unknown key {prefix}{key}: {hint}")
    values = {}
    for key, hint in hints.items():
        value = given.get(key, _MISSING)
        if value is _MISSING:
            problems.append(f"{prefix}{key} is absent; start from experiments.defaults.")
            values[key] = None
        elif dataclasses.is_dataclass(hint):
            values[key] = _resolve(hint, value, f"{prefix}{key}.", problems)
        else:
            values[key] = _value(hint, value, f"{prefix}{key}", problems)
    return spec_type(**values)


def _value(hint: Any, value: Any, name: str, problems: list[str]) -> Any:
    try:
        return _convert(hint, value)
    except TypeError:
        problems.append(f"{name} is {value!r}; expected {_describe(hint)}.")
        return value


def _convert(hint: Any, value: Any) -> Any:
    """``value`` as the hinted type; only an int may stand for a float, a list for a tuple."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _convert(hint, value)
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            raise TypeError
        if arguments[-1] is Ellipsis:
            return tuple(_convert(arguments[0], item) for item in value)
        if len(value) != len(arguments):
            raise TypeError
        return tuple(_convert(a, item) for a, item in zip(arguments, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise TypeError
    if type(value) is not hint:
        raise TypeError
    return value


def _describe(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("None" if a is type(None) else _describe(a) for a in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"({_describe(arguments[0])}, …)"
        return f"({', '.join(_describe(a) for a in arguments)})"
    return {
        int: "a whole number",
        float: "a finite number",
        bool: "True or False",
        str: "a string",
    }[hint]
