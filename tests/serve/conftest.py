"""Models, a real server process and a real picture host, all on loopback."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.serve import tiny_llava
from tests.serve.server_process import ServerProcess

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LLaVA whose answers never end of themselves."""
    return tiny_llava.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def canary() -> Path:
    """The trained canary; SIGHTLINE_CANARY_DIR points elsewhere while it is being made."""
    folder = Path(os.environ.get("SIGHTLINE_CANARY_DIR", REPOSITORY / "canary" / "weights"))
    if not (folder / "config.json").is_file():
        pytest.fail(f"no canary in {folder}: train it (scripts/train-canary) or set SIGHTLINE_CANARY_DIR")
    return folder


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_text("correct-horse-battery-staple\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """start(model, *flags) -> a ServerProcess that is ready; all of them are ended with the session."""
    started: list[ServerProcess] = []

    def go(model: Path, *flags: str, wait: bool = True, **options: Any) -> ServerProcess:
        server = ServerProcess(model, *flags, log=tmp_path_factory.mktemp("server") / "log", **options)
        started.append(server)
        if wait:
            server.wait_ready()
        return server

    yield go
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def keyed(start: Callable[..., ServerProcess], tiny: Path, key_file: Path) -> ServerProcess:
    """The random model behind a key, with small limits that tests can run into."""
    return start(
        tiny, "--api-key-file", str(key_file), "--max-body-mib", "1", "--max-images", "3",
        "--max-image-mib", "0.5", "--image-timeout", "2", "--allow-image-hosts", "127.0.0.1",
    )  # fmt: skip


class PictureHost:
    """Serves what a test puts into `pages`: path -> function(handler)."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.release = threading.Event()  # set at the end, so that slow pages let go
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                page = host.pages.get(self.path)
                if page is None:
                    self.send_error(404)
                else:
                    page(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def serve(
        self, path: str, body: bytes, kind: str = "image/png", status: int = 200, **headers: str
    ) -> None:
        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.pages[path] = page

    def redirect(self, path: str, target: str) -> None:
        self.serve(path, b"", status=302, Location=target)

    def trickle(self, path: str) -> None:
        """Sends its headers, then a byte now and then, for ever."""

        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "image/png")
            handler.end_headers()
            while not self.release.wait(0.1):
                try:
                    handler.wfile.write(b"\x89")
                except OSError:
                    return

        self.pages[path] = page


@pytest.fixture
def host() -> Iterator[PictureHost]:
    made = PictureHost()
    yield made
    made.release.set()
    made.server.shutdown()
    made.server.server_close()
