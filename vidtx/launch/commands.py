"""Commands of other programs: shown as a person would type them, and run one after the other."""

import dataclasses
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence

from vidtx.errors import MachineError

__all__ = [
    "ABSENT",
    "HEADER",
    "Command",
    "ask",
    "check_programs",
    "command",
    "commented",
    "lines",
    "run",
    "shell",
    "state_of",
]

# The state of what there is not.
ABSENT = "ABSENT"

# How a script of commands begins. What stands in single quotes is for other machines to expand.
HEADER = "#!/usr/bin/env bash\n# shellcheck disable=SC2016\nset -euo pipefail"

_WIDTH = 96  # columns of a printed command, if none of its words is longer
_HEREDOC = "END_OF_INPUT"

# How to come by a program.
_CURES = {
    "docker": "Install Docker: https://docs.docker.com/get-docker/",
    "gcloud": "Install the Google Cloud CLI: https://cloud.google.com/sdk/docs/install",
    "kubectl": "gcloud components install kubectl",
    "python": "Activate an environment that has Python.",
    "sbatch": "Run this on a login node of the cluster, or give --dry_run and copy the script.",
    "xpk": "pip install xpk",
}


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of another program.

    Attributes:
      words: program and arguments.
      why: what it is for, a sentence for whoever reads it.
      given: what it reads from its standard input, or None.
      unless: a command whose success makes it unnecessary, or None.
      cure: what to do where it fails, or None.
    """

    words: tuple[str, ...]
    why: str
    given: str | None = None
    unless: "Command | None" = None
    cure: str | None = None


def command(why: str, *words: str | None, **more) -> Command:
    """A command of these words, without those that are None; ``more`` as of `Command`."""
    return Command(tuple(word for word in words if word is not None), why, **more)


def shell(one: Command) -> str:
    """A command as the lines of a shell script that run it."""
    text = _wrapped(one.words)
    if one.unless is not None:
        text = f"{_wrapped(one.unless.words)} 2>/dev/null ||\n  {text}"
    if one.given is not None:
        text = f"{text} <<'{_HEREDOC}'\n{one.given.rstrip()}\n{_HEREDOC}"
    return text


def lines(one: Command) -> str:
    """A command as lines of a shell script, with what it is for."""
    return f"# {one.why}\n{shell(one)}"


def commented(one: Command) -> str:
    """The same, not to be run but to be known."""
    return lines(one).replace("\n", "\n# ")


def _wrapped(words: Sequence[str]) -> str:
    rows = [""]
    for word in map(shlex.quote, words):
        if rows[-1] and len(rows[-1]) + 1 + len(word) > _WIDTH:
            rows.append(f"    {word}")
        else:
            rows[-1] += f" {word}" if rows[-1] else word
    return " \\\n".join(rows)


def check_programs(commands: Iterable[Command]) -> None:
    """Refuses to begin what needs a program that is not installed.

    Raises:
      MachineError: there is such a program; the message names all, and how to come by each.
    """
    needed = sorted({one.words[0] for one in commands})
    absent = [name for name in needed if shutil.which(name) is None]
    if absent:
        raise MachineError(
            "\n".join(f"{name} is not installed here. {_CURES.get(name, '')}" for name in absent)
        )


def run(one: Command) -> None:
    """Shows a command, and runs it to its end.

    Raises:
      MachineError: it fails.
    """
    print(f"\n{lines(one)}", file=sys.stderr, flush=True)
    if one.unless is not None and ask(one.unless) is not None:
        print("# That is so already.", file=sys.stderr, flush=True)
        return
    code = subprocess.run(one.words, input=one.given, text=True).returncode
    if code:
        cure = f" {one.cure}" if one.cure else ""
        raise MachineError(
            f"{shlex.join(one.words[:5])} … ended with exit code {code}; what it says is above."
            f"{cure} Once that is mended, the same command goes on."
        )


def ask(one: Command) -> str | None:
    """What a command prints, or None where it fails; what it complains of is not shown."""
    done = subprocess.run(one.words, input=one.given, capture_output=True, text=True)
    return None if done.returncode else done.stdout.strip()


def state_of(describing: Command) -> str | None:
    """What gcloud prints of a thing's state, `ABSENT` where there is no such thing.

    None where there is no answer, for want of a network or of rights: then nothing is known.
    """
    done = subprocess.run(describing.words, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout.strip() or None
    return ABSENT if "NOT_FOUND" in done.stderr or "was not found" in done.stderr else None
