"""A real browser: Debian's Chromium, headless, driven by Playwright."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",  # root, as in containers, may not start it otherwise
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Its own services would look for hosts of their makers, and fail where there is no network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def chromium() -> Iterator:
    """Starts the browser; skips the test where there is none.

    With ``VIDTX_BROWSER_REQUIRED=1`` in the environment, as in continuous integration, its absence
    is a failure.

    Yields:
      Playwright's browser, whose ``new_page`` and ``new_context`` tests call.
    """
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        said = "no Chromium here; install it with: apt-get install chromium"
        if os.environ.get("VIDTX_BROWSER_REQUIRED") == "1":
            pytest.fail(said)
        pytest.skip(said)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
