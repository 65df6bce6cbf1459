"""The server as others meet it: a real process with the canary, and a real browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.serve.server_process import ServerProcess

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "canary" / "weights"


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """start(*flags) -> the canary, ready; all of them are ended with the session."""
    started: list[ServerProcess] = []

    def go(*flags: str) -> ServerProcess:
        server = ServerProcess(WEIGHTS, *flags, log=tmp_path_factory.mktemp("server") / "log")
        started.append(server)
        server.wait_ready()
        return server

    yield go
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def server(start: Callable[..., ServerProcess]) -> ServerProcess:
    return start("--max-image-mib", "1")


@pytest.fixture(scope="session")
def keyed(start: Callable[..., ServerProcess], tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_text("correct-horse-battery-staple\n")
    path.chmod(0o600)
    return start("--api-key-file", str(path))


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Headless Chromium that reaches loopback only, and writes down what it asked for and complained of."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("there is no chromium with chromedriver here: apt-get install chromium-driver")
    options = ChromeOptions()
    options.binary_location = browser
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--window-size=1100,860", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--disable-background-networking",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with Chrome(options=options, service=Service(driver)) as browsing:
        browsing.set_page_load_timeout(120)
        yield browsing


def complaints(chrome: Chrome) -> list[str]:
    """What the browser's console holds since the last time, in words."""
    return [entry["message"] for entry in chrome.get_log("browser")]


def asked_for(chrome: Chrome) -> list[dict[str, Any]]:
    """The network requests since the last time: {"url", "method", "headers", ...}."""
    sent = []
    for entry in chrome.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            sent.append(message["params"]["request"])
    return sent
