"""Who may ask, and what browsers may do with the answers.

A server on one's own machine can be reached by every page that is open in a browser there. So
requests that another page makes are refused: by ``Sec-Fetch-Site`` and ``Origin``, which browsers
set and pages cannot; and by ``Host``, as a page may have its own name lead to this machine (DNS
rebinding).
"""

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidtx.serving.limits import ServingError

__all__ = ["Guard", "is_loopback", "refused"]

_API = "/api/"
_OWN_PAGE = ("same-origin", "none")  # none: typed by a person, or no browser
_ALWAYS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Refuses requests of other pages, and adds the headers that each answer has.

    Args:
      app: what answers the others.
      host: that the server was told to listen at.
      policy: the Content-Security-Policy.
    """

    def __init__(self, app: ASGIApp, host: str, policy: str):
        self._app, self._host = app, host
        self._headers = {**_ALWAYS, "Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or has it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        problem = refused(scope["path"], scope["method"], Headers(scope=scope), {self._host})
        app = self._app if problem is None else JSONResponse(problem.to_dict(), problem.status)
        await app(scope, receive, send_guarded)


def refused(
    path: str, method: str, headers: Mapping[str, str], names: Collection[str]
) -> ServingError | None:
    """Says why a request is not answered, or returns None.

    Args:
      path: of the request.
      method: of HTTP.
      headers: of the request.
      names: of this server, beside addresses and ``localhost``.
    """
    host = headers.get("host", "")
    name = _name_of(host)
    if not (name == "localhost" or _is_address(name) or name in {each.lower() for each in names}):
        return ServingError(
            421,
            "wrong_host",
            f"This server is not {host[:100]!r}. Ask it by its address, or start it with --host="
            "NAME.",
        )
    site = headers.get("sec-fetch-site", "none")
    origin = headers.get("origin")
    foreign = origin is not None and _place_of(origin) != host.lower()
    unsafe = method not in ("GET", "HEAD")
    if (path.startswith(_API) or unsafe) and (foreign or site not in _OWN_PAGE):
        return ServingError(
            403, "cross_site", "Another page has asked; only this server's own page may."
        )
    return None


def is_loopback(host: str) -> bool:
    """Whether a host to listen at is this machine alone."""
    name = host.strip("[]").lower()
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _name_of(host: str) -> str:
    """The name in ``NAME:PORT``, ``[ADDRESS]:PORT`` or ``NAME``; empty if it is none of them."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _place_of(origin: str) -> str | None:
    """``NAME:PORT`` of an origin; None if it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
