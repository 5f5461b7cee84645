"""Routes of the local page.

==========================  ======================================================================
``GET /``                   the page
``GET /healthz``            ``{"status": "ok"}``, or 503 while the model is being loaded again
``GET /api/model``          the model: names of classes, preprocessing, limits
``POST /api/predict``       a video in, an answer out: see `vidtx.serving.predict`
``GET /api/attention/…``    the pictures of an answer, for some minutes: ``KEY.mp4`` is the clip
                            with what the model looks at, ``KEY/clip.mp4`` the clip as it was fed
==========================  ======================================================================
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from vidtx.serving.guard import Guard
from vidtx.serving.jobs import Jobs
from vidtx.serving.kept import CLIP, OVERLAY, Kept
from vidtx.serving.limits import Limits, ServingError
from vidtx.serving.page import Page
from vidtx.serving.predict import Predict, error_response

__all__ = ["create_app"]


def create_app(
    jobs: Jobs,
    kept: Kept,
    limits: Limits,
    folder: pathlib.Path,
    about: Mapping[str, Any],
    host: str,
) -> Starlette:
    """The application.

    Args:
      jobs: which compute.
      kept: pictures of answers.
      limits: of a request.
      folder: that uploads go to.
      about: what ``/api/model`` tells.
      host: that the server was told to listen at.
    """
    page = Page()

    async def show_page(_: Request) -> Response:
        return Response(page.html, media_type="text/html")

    async def health(_: Request) -> Response:
        ready = jobs.ready
        return JSONResponse({"status": "ok" if ready else "loading"}, 200 if ready else 503)

    async def model(_: Request) -> Response:
        return JSONResponse({**about, "limits": limits.to_dict()})

    async def pictures(request: Request) -> Response:
        file = CLIP if request.url.path.endswith("/clip.mp4") else OVERLAY
        path = kept.find(request.path_params["key"], file)
        if path is None:
            raise ServingError(
                404, "not_found", "These pictures are not kept (any more). Send the video again."
            )
        return FileResponse(path, media_type="video/mp4")

    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/healthz", health),
            Route("/api/model", model),
            Route("/api/predict", Predict(jobs, kept, limits, folder), methods=["POST"]),
            Route("/api/attention/{key}.mp4", pictures),
            Route("/api/attention/{key}/clip.mp4", pictures),
        ],
        middleware=[Middleware(Guard, host=host, policy=page.policy)],
        exception_handlers={ServingError: _refusal, HTTPException: _plain_refusal, 500: _fault},
    )


async def _refusal(_: Request, error: ServingError) -> Response:
    return error_response(error)


async def _plain_refusal(request: Request, error: HTTPException) -> Response:
    kind = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
    where = f"{request.method} {request.url.path[:100]}"
    problem = ServingError(error.status_code, kind, f"{where}: {error.detail}.")
    return JSONResponse(problem.to_dict(), problem.status, headers=dict(error.headers or {}))


async def _fault(_: Request, error: Exception) -> Response:
    return error_response(
        ServingError(500, "bug", f"A fault of the server: {type(error).__name__}.")
    )
