"""The computing process: a line of JSON in, lines of JSON out.

    python -m vidtx.serving.worker

It is started by `vidtx.serving.child`, tells how far it is, and ends when its standard input does:
when the server has ended, however that came about.
"""

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import av

from vidtx.errors import VidtxError, explain
from vidtx.serving.limits import ServingError

__all__ = ["main"]


class _CancelledError(Exception):
    """Nobody waits for this answer any more."""


def main() -> None:
    """Loads the model, then answers tasks until standard input ends."""
    # What a library prints must not come between the lines of the protocol.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    av.logging.set_level(None)
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    cancelled: set[int] = set()

    def say(**message: Any) -> None:
        try:
            print(json.dumps(message), file=channel, flush=True)
        except OSError:  # nobody listens any more
            os._exit(1)

    threading.Thread(target=_listen, args=(tasks, cancelled), daemon=True).start()
    answers = _loaded(tasks.get(), say)
    while True:
        message = tasks.get()
        number = message["number"]

        def report(stage: str, done: int = 0, total: int = 0, number: int = number) -> None:
            if number in cancelled:
                raise _CancelledError
            say(number=number, progress={"stage": stage, "done": done, "total": total})

        try:
            say(number=number, answer=answers.answer(**message["task"], report=report))
        except ServingError as error:
            say(number=number, failed=_fields(error))
        except _CancelledError:
            gone = ServingError(499, "cancelled", "Nobody waits for this answer any more.")
            say(number=number, failed=_fields(gone))
        except Exception as error:
            say(number=number, failed=_fields(_known(error)))
        cancelled.discard(number)


def _loaded(settings: dict[str, Any], say: Callable[..., None]) -> Any:
    """The model, ready to answer; where that fails, the process says why and ends."""
    try:
        # Here, as it takes seconds, and so that what is wrong with it is told, too.
        from vidtx.serving.answers import Answers

        say(stage="Loading the weights.")
        answers = Answers(**settings)
        say(stage="Compiling the model.")
        answers.warm_up()
    except Exception as error:
        known = explain(error)
        if known is None and isinstance(error, OSError):
            known = VidtxError(str(error))
            known.exit_code = 7
        if known is None:
            traceback.print_exc()
            known = VidtxError(f"{type(error).__name__}: {error}")
        say(refused={"exit_code": known.exit_code, "message": str(known)})
        os._exit(1)
    say(ready=answers.about())
    return answers


def _known(error: Exception) -> ServingError:
    """What an error at one video means for whoever sent it."""
    known = explain(error)
    if known is not None:
        return ServingError(507 if known.exit_code == 7 else 500, "machine", str(known))
    traceback.print_exc()
    return ServingError(
        500,
        "bug",
        f"A fault of the server: {type(error).__name__}. It has told more where it runs.",
    )


def _fields(error: ServingError) -> dict[str, Any]:
    return {"status": error.status, "kind": error.kind, "message": error.message}


def _listen(tasks: queue.SimpleQueue, cancelled: set[int]) -> None:
    """Passes tasks on, and ends the process, whatever it is doing, when there are no more."""
    for line in sys.stdin:
        message = json.loads(line)
        if "cancel" in message:
            cancelled.add(message["cancel"])
        else:
            tasks.put(message)
    os._exit(0)


if __name__ == "__main__":
    main()
