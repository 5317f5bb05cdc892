"""A page in a real browser: typed into, asked, and every address that it reaches for noted."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

SECONDS = 120
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-extensions",
         "--remote-debugging-pipe"]  # fmt: skip


class Page:
    """A tab, spoken to over the browser's own protocol."""

    def __init__(self, ask: int, answers: int) -> None:
        self._ask, self._answers = os.fdopen(ask, "wb"), os.fdopen(answers, "rb")
        self._number, self._session = 0, None
        self.requests: list[str] = []
        self.errors: list[str] = []  # and warnings: what the console shows
        self.loaded = self.saved = False
        (target,) = (
            info["targetId"]
            for info in self._call("Target.getTargets")["targetInfos"]
            if info["type"] == "page"
        )
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Go there and wait until everything is loaded."""
        self.requests, self.errors, self.loaded = [], [], False
        self._call("Page.navigate", url=address)
        while not self.loaded:
            self._read()

    def type(self, text: str) -> None:
        """Write where the cursor is."""
        self._call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key that is not a letter, by its name in JavaScript."""
        for kind in ("rawKeyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key)

    def click(self, selector: str) -> None:
        """Click into the middle of an element, which must be in view."""
        x, y = self.ask(
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
            f"(document.querySelector('{selector}').getBoundingClientRect())"
        )
        assert self.ask(
            f"document.querySelector('{selector}').contains(document.elementFromPoint({x}, {y}))"
        ), f"{selector} is out of view or covered"
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def resize(self, width: int, height: int, scheme: str = "light") -> None:
        """Show the page as a window of that size would, in the light or dark colour scheme."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=1, mobile=width < 500)  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def save_to(self, folder: Any) -> None:
        """Put what the page lets one download into a folder."""
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder),
                   eventsEnabled=True)  # fmt: skip

    def wait_for_download(self) -> None:
        while not self.saved:
            self._read()
        self.saved = False

    def ask(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        reply = self._call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._ask.write(json.dumps(message).encode() + b"\0")
        self._ask.flush()
        while True:
            reply = self._read()
            if reply.get("id") == self._number:
                assert "error" not in reply, reply
                return reply["result"]

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser is gone"
            data += byte
        event = json.loads(data)
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"][:100])
        self.loaded |= event.get("method") == "Page.loadEventFired"
        if event.get("method") == "Browser.downloadProgress":
            self.saved |= event["params"]["state"] == "completed"
        self.errors += _console(event)
        return event


def _console(event: dict[str, Any]) -> list[str]:
    """What an event says that the console shows as an error or a warning."""
    params = event.get("params", {})
    said = {
        "Runtime.exceptionThrown": True,
        "Runtime.consoleAPICalled": params.get("type") in ("error", "warning", "assert"),
        "Log.entryAdded": params.get("entry", {}).get("level") in ("error", "warning"),
    }
    return [json.dumps(params)[:500]] if said.get(event.get("method", "")) else []


@contextmanager
def opened(folder) -> Iterator[Page]:
    """Start a browser that keeps what it must in `folder`; skip where there is none."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    (its_ask, ask), (answers, its_answers) = os.pipe(), os.pipe()

    def hand_over() -> None:
        """The browser reads 3 and writes 4."""
        first, second = os.dup(its_ask), os.dup(its_answers)
        os.dup2(first, 3)
        os.dup2(second, 4)

    process = subprocess.Popen(
        [browser, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        preexec_fn=hand_over,
        close_fds=False,
        stderr=subprocess.DEVNULL,
    )
    os.close(its_ask)
    os.close(its_answers)
    try:
        yield Page(ask, answers)
    finally:
        process.kill()
        process.wait()
