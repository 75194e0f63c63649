"""Debian's Chromium without a window, and what its pictures of a page are worth."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

WIDTH, HEIGHT = 1440, 900
"""Of the page on a small screen, in pixels."""

needs_chromium = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="chromium or chromedriver (Debian: chromium-driver) is not installed",
)

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # which Chromium does not start without as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
)


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """A browser that reaches this machine only, until the block ends.

    Args:
        profile: an empty directory of its own.
    """
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    # With the path given, Selenium looks for no driver elsewhere.
    browser = Chrome(options, Service(shutil.which("chromedriver")))
    try:
        # Of the page itself: a window has a frame, though nobody sees it.
        metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield browser
    finally:
        browser.quit()


class Picture(NamedTuple):
    """What a PNG file says of itself."""

    width: int
    height: int
    values: int
    """Different bytes among those of its pixels: a handful where the page is blank."""


def take_picture(browser: Chrome, path: Path) -> Picture:
    """Write what the browser shows into a PNG file, and read the file."""
    assert browser.save_screenshot(str(path))
    png = path.read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    pixels, position = b"", 8
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        data = png[position + 8 : position + 8 + length]
        position += length + 12
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data)
        elif kind == b"IDAT":
            pixels += data
    return Picture(width, height, len(set(zlib.decompress(pixels))))
