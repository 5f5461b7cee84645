"""The page: one HTML document, its style and script inside."""

import base64
import hashlib
import importlib.resources

__all__ = ["Page"]

_FILES = ("page.html", "page.css", "page.js", "chart.js")


class Page:
    """The page, and the policy that lets a browser run nothing else.

    Attributes:
      html: bytes, UTF-8.
      policy: its Content-Security-Policy, with the digests of the one style and the one script.
    """

    def __init__(self):
        files = importlib.resources.files("vidtx.serving")
        html, style, *scripts = ((files / name).read_text("utf-8") for name in _FILES)
        script = "\n".join(scripts)
        html = html.replace("/* style */", style).replace("/* script */", script)
        self.html = html.encode()
        self.policy = "; ".join(
            [
                "default-src 'none'",
                f"script-src '{_digest(script)}'",
                f"style-src '{_digest(style)}'",
                "connect-src 'self'",
                "media-src 'self' blob:",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ]
        )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
