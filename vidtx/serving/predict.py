"""``POST /api/predict``: the bytes of a video in, an answer out.

One request from upload to answer, so that whoever goes away ends what was begun for them. With
``Accept: application/x-ndjson`` the answer is lines of JSON, ``{"progress": …}`` as it goes and
``{"answer": …}`` or ``{"error": …}`` at the end; without, it is the answer alone.
"""

import asyncio
import contextlib
import json
import pathlib
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from vidtx.serving.jobs import Job, Jobs
from vidtx.serving.kept import Kept
from vidtx.serving.limits import Limits, ServingError
from vidtx.serving.uploads import DisconnectedError, check_announced, display_name, received

__all__ = ["LINES", "Predict", "error_response"]

LINES = "application/x-ndjson"
# A line at least this often, so that nothing on the way takes the connection for dead.
_ALIVE_SECONDS = 10.0


class Predict:
    """The endpoint.

    Args:
      jobs: which compute.
      kept: which takes the pictures.
      limits: of a request.
      folder: that uploads go to.
    """

    def __init__(self, jobs: Jobs, kept: Kept, limits: Limits, folder: pathlib.Path):
        self._jobs, self._kept, self._limits, self._folder = jobs, kept, limits, folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        lines = LINES in headers.get("accept", "")
        try:
            check_announced(headers, self._limits)
            with self._jobs.place():
                async with received(receive, self._limits, self._folder) as path:
                    name = display_name(query.get("name"))
                    steps = self._steps(receive, path, name, query.get("attention") != "0")
                    async with contextlib.aclosing(steps):
                        if lines:
                            await _send_lines(steps, send)
                        else:
                            await JSONResponse(await _last(steps))(scope, receive, send)
        except ServingError as error:
            await error_response(error)(scope, receive, send)
        except DisconnectedError:
            pass

    async def _steps(
        self, receive: Receive, path: pathlib.Path, name: str, attention: bool
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yields what happens to a video, the answer or the failure last.

        Raises:
          DisconnectedError: nobody waits for it any more; it is cancelled.
        """
        loop, said = asyncio.get_running_loop(), asyncio.Queue()
        key, folder = self._kept.reserve() if attention else (None, None)
        task = {"path": str(path), "name": name, "folder": folder and str(folder), "key": key}
        job = Job(task, lambda step: loop.call_soon_threadsafe(said.put_nowait, step))
        gone = asyncio.create_task(_gone(receive))
        answered = False
        try:
            self._jobs.submit(job)
            while not answered:
                step = asyncio.create_task(said.get())
                await asyncio.wait(
                    {step, gone}, timeout=_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if gone.done():
                    step.cancel()
                    raise DisconnectedError
                if not step.done():
                    step.cancel()
                    yield {"progress": {"stage": "alive", "done": 0, "total": 0}}
                    continue
                answered = "answer" in step.result()
                if key and answered:
                    self._kept.answered(key)
                yield step.result()
                if "failed" in step.result():
                    return
        finally:
            gone.cancel()
            self._jobs.cancel(job)
            if key and not answered:
                self._kept.drop(key)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _last(steps: AsyncGenerator[dict[str, Any], None]) -> dict[str, Any]:
    """The answer; raises a failure."""
    async for step in steps:
        if "failed" in step:
            raise step["failed"]
    return step["answer"]


async def _send_lines(steps: AsyncGenerator[dict[str, Any], None], send: Send) -> None:
    kind = [(b"content-type", f"{LINES}; charset=utf-8".encode())]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    async for step in steps:
        if "failed" in step:
            step = step["failed"].to_dict() | {"status": step["failed"].status}
        line = json.dumps(step).encode() + b"\n"
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def error_response(error: ServingError) -> JSONResponse:
    """A refusal as an answer."""
    retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse(error.to_dict(), error.status, headers=retry)
