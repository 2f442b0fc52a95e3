"""A headless Chromium, driven through its DevTools protocol over a pipe: no driver is needed."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
_SECONDS = 60
_OPTIONS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-networking",
)  # fmt: skip
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 100) for end in sys.argv[1:3]]
for end, wanted in zip(ends, (3, 4)):
    os.dup2(end, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""A browser reads commands from descriptor 3 and answers on 4."""


class Browser:
    """One tab."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._unread = 0, b""
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its result; events on the way are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (found := self._read()).get("id") != self._number:
            self.events.append(found)
        assert "error" not in found, found["error"]
        return found["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            some = os.read(self._answers, 2**20)
            assert some, "the browser has ended"
            self._unread += some
        text, _, self._unread = self._unread.partition(b"\0")
        return json.loads(text)

    def close(self) -> None:
        """End the browser."""
        self._session = {}
        self.ask("Browser.close")

    def open(
        self, page: Path, width: int = 1200, height: int = 900, *, is_dark: bool = False
    ) -> None:
        """Load a page at a size and wait until its scripts have run."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        found = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + _SECONDS
        while not self.run(script):
            assert time.monotonic() < end, f"still not true: {script}\n{self.problems}"
            time.sleep(0.05)

    def point(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the pointer there; also press and release it."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        if click:
            for kind in ("mousePressed", "mouseReleased"):
                self.ask(
                    "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
                )

    def key(self, name: str) -> None:
        """Press a key that has a name, such as Tab."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39, "Escape": 27}
        text = {"Enter": "\r", " ": " "}.get(name, "")
        for kind in ("keyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, text=text,
                windowsVirtualKeyCode=codes.get(name, ord(name[0].upper())),
            )  # fmt: skip

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.ask("Input.insertText", text=text)

    def screenshot(self, selector: str = "body") -> bytes:
        """A PNG of an element."""
        box = self.run(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            "const {x, y, width, height} = one.getBoundingClientRect();"
            "return {x: x + scrollX, y: y + scrollY, width, height, scale: 1}; })()"
        )
        found = self.ask("Page.captureScreenshot", clip=box, captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    @property
    def problems(self) -> list[str]:
        """Exceptions, errors in the console, and requests that are not of the page itself."""
        found = []
        for event in self.events:
            params, method = event.get("params", {}), event.get("method")
            if method == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled" and params["type"] in {"error", "warning"}:
                found.append(str(params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
                found.append(str(params["entry"]))
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:", "blob:")):
                    found.append(f"a request to {url}")
        return found


@contextmanager
def headless_browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own; the test is skipped where there is none.

    Args:
        profile: An empty folder.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    from_us, commands = os.pipe()
    answers, to_us = os.pipe()

    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, str(from_us), str(to_us), program, *_OPTIONS,
         f"--user-data-dir={profile}"],
        pass_fds=(from_us, to_us), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(from_us)
    os.close(to_us)
    try:
        browser = Browser(commands, answers)
        yield browser
        browser.close()
        process.wait(_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(commands)
        os.close(answers)
