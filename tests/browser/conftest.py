"""A headless Chromium, spoken to through two pipes: no port, no driver, no client library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--remote-debugging-pipe", "--hide-scrollbars", "about:blank",
)  # fmt: skip
PATIENCE_S = 60
READY = "document.readyState === 'complete' && !document.getElementById('loading')"


class Browser:
    """One page at a time. Whatever it logs, and whatever it throws, is kept in `complaints`."""

    def __init__(self, command: str, profile: Path) -> None:
        told, self._tell = os.pipe()
        self._hear, said = os.pipe()
        arguments = [command, f"--user-data-dir={profile}", *ARGUMENTS]
        self._process = subprocess.Popen(  # Chromium reads its orders from 3 and answers on 4
            ["bash", "-c", f'exec "$@" 3<&{told} 4>&{said}', "bash", *arguments],
            pass_fds=(told, said),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(told)
        os.close(said)
        self._heard = b""
        self._orders = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requested: list[str] = []
        target = self.order("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.order("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.order(f"{domain}.enable")

    def order(self, method: str, **parameters: object) -> Any:
        """One order of the DevTools protocol, and its answer."""
        self._orders += 1
        message = {"id": self._orders, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._tell, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._orders:
                assert "error" not in answer, answer
                return answer["result"]
            self._listen(answer)

    def _next(self) -> Any:
        while b"\0" not in self._heard:
            heard = os.read(self._hear, 1 << 16)
            assert heard, "the browser went away"
            self._heard += heard
        message, _, self._heard = self._heard.partition(b"\0")
        return json.loads(message)

    def _listen(self, event: Any) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.complaints.append(json.dumps(parameters["entry"]))
            case "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        result = self.order("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until it holds; the page is asked after each frame it draws."""
        script = (
            "new Promise((done, late) => { const from = Date.now(); const look = () => { "
            f"let holds = false; try {{ holds = ({condition}); }} catch {{}} "
            f"holds ? done(true) : Date.now() - from > {PATIENCE_S}000 ? late(new Error('waited in vain')) "
            ": setTimeout(look, 10); }; look(); })"
        )
        assert self.run(script) is True

    def size(self, width: int, height: int) -> None:
        self.order("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **features: str) -> None:
        self.order(
            "Emulation.setEmulatedMedia",
            features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()],
        )

    def open(self, path: Path, anchor: str = "") -> float:
        """Seconds until the page can be used."""
        self.complaints.clear()
        self.requested.clear()
        self.order("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank'")
        began = time.perf_counter()
        self.order("Page.navigate", url=path.as_uri() + anchor)
        self.wait(
            "location.protocol === 'file:' && document.readyState === 'complete' && !document.getElementById('loading')"
        )
        return time.perf_counter() - began

    def press(self, key: str) -> None:
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "Home": 36, "End": 35}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        code = codes.get(key, ord(key.upper()) if len(key) == 1 else 0)
        event: dict[str, object] = {"key": key, "windowsVirtualKeyCode": code}
        self.order("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.order("Input.dispatchKeyEvent", type="keyUp", **event)

    def shot(self, *, whole: bool = False) -> str:
        """The page as a PNG, in base64."""
        return str(self.order("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])

    def close(self) -> None:
        os.close(self._tell)
        self._process.terminate()
        self._process.wait()
        os.close(self._hear)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = next(filter(None, map(shutil.which, NAMES)), None)
    if command is None:
        if os.environ.get("REDISPERF_REQUIRE_CHROMIUM"):
            pytest.fail("no Chromium on PATH")
        pytest.skip("no Chromium on PATH")
    browser = Browser(command, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    """Opens a page made of these pieces; afterwards it must have complained of nothing and asked for nothing."""

    def open_page(pieces: Iterator[str], anchor: str = "", *, width: int = 1400, height: int = 900) -> Browser:
        path = tmp_path / "report.html"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
        browser.size(width, height)
        browser.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
        browser.open(path, anchor)
        return browser

    yield open_page
    assert browser.complaints == []
    assert [url for url in browser.requested if not url.startswith(("file:", "about:"))] == []
