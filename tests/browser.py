"""A page in a headless Chromium, spoken to by its own protocol: what it paints, asks for and complains of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0
"""Seconds after which a browser that says nothing is given up."""


def browser() -> str:
    """Where the browser is; skips the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is here: none of {', '.join(NAMES)} is on PATH")
    return found


@dataclass
class Page:
    """One open page."""

    socket: ClientConnection
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0

    def say(self, method: str, **parameters: Any) -> Any:
        """What the browser answers to one command; events on the way are kept."""
        self.asked += 1
        self.socket.send(json.dumps({"id": self.asked, "method": method, "params": parameters}))
        while True:
            told = json.loads(self.socket.recv(timeout=PATIENCE))
            if told.get("id") == self.asked:
                assert "error" not in told, told
                return told["result"]
            self.events.append(told)

    def wait(self, event: str) -> None:
        while not any(one.get("method") == event for one in self.events):
            self.events.append(json.loads(self.socket.recv(timeout=PATIENCE)))

    def value(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        told = self.say("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Open a file from disk and wait until it has been painted."""
        self.events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.say(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.say("Emulation.setEmulatedMedia", features=[scheme])
        self.say("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.say("Page.navigate", url=path.as_uri())
        self.wait("Page.loadEventFired")
        self.value("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings on the console, the policy's included."""
        logged = [e["params"]["entry"] for e in self.events if e.get("method") == "Log.entryAdded"]
        said = [e["params"] for e in self.events if e.get("method") == "Runtime.consoleAPICalled"]
        thrown = [e for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
        return [str(entry.get("text")) for entry in logged if entry["level"] in ("error", "warning")] + [
            *(str(one) for one in said if one["type"] in ("error", "warning", "assert")),
            *map(str, thrown),
        ]

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for, but the page's own."""
        sent = [e["params"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [one["request"]["url"][:200] for one in sent if one.get("type") != "Document"]


@contextmanager
def page(profile: Path) -> Iterator[Page]:
    """A page of a browser of its own, which ends with the block."""
    words = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "about:blank"]
    words.insert(-1, f"--user-data-dir={profile}")
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as chromium:
        try:
            assert chromium.stderr is not None
            port = next(m[1] for row in chromium.stderr if (m := re.search(r"ws://127\.0\.0\.1:(\d+)/", row)))
            with connect(_address(port), max_size=None) as socket:
                yield Page(socket)
        finally:
            chromium.terminate()


def _address(port: str) -> str:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        listed = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
        for one in listed:
            if one["type"] == "page":
                return str(one["webSocketDebuggerUrl"])
    raise AssertionError("the browser opened no page")
