"""The page at `/` in Chromium against the real server: a picture in, the right answer out."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.outside.conftest import REPOSITORY, asked_for, complaints
from tests.serve.server_process import ServerProcess

PAGE = REPOSITORY / "serve" / "sightline_serve" / "page.html"
COLOUR = "What colour is the shape? Answer with one word."
SHAPE = "And what shape is it? Answer with one word."


def drawn(folder: Path, colour: tuple[int, int, int], name: str, form: str = "PNG") -> Path:
    """A square on white, the canary's kind of picture."""
    picture = Image.new("RGB", (448, 448), "white")
    ImageDraw.Draw(picture).rectangle((112, 112, 336, 336), fill=colour)
    path = folder / name
    picture.save(path, form)
    return path


class Visitor:
    """A person at the page."""

    def __init__(self, chrome: Chrome, base: str) -> None:
        self.chrome = chrome
        complaints(chrome)
        asked_for(chrome)
        chrome.get(base + "/")

    def find(self, name: str) -> WebElement:
        return self.chrome.find_element(By.ID, name)

    def until(self, holds: Any, what: str) -> Any:
        return WebDriverWait(self.chrome, 120, 0.05).until(lambda _: holds(), what)

    def ready(self) -> None:
        self.until(lambda: self.find("state").text == "ready", "the page says that the server is ready")

    def choose(self, *files: Path) -> None:
        before = len(self.chrome.find_elements(By.CSS_SELECTOR, "#chosen img"))
        self.find("file").send_keys("\n".join(map(str, files)))
        self.until(
            lambda: len(self.chrome.find_elements(By.CSS_SELECTOR, "#chosen img")) == before + len(files),
            "thumbnails",
        )

    def type(self, text: str) -> None:
        self.find("question").send_keys(text)

    def answers(self) -> list[str]:
        """The texts of the answers that are whole."""
        found = self.chrome.find_elements(By.CSS_SELECTOR, ".assistant:has(.note) .words")
        return [one.get_property("textContent") for one in found]

    def problems(self) -> list[str]:
        return [one.text for one in self.chrome.find_elements(By.CSS_SELECTOR, ".problem p")]

    def ask(self, text: str) -> str:
        """Types, presses Enter, waits; the answer."""
        before = len(self.answers())
        self.type(text + Keys.ENTER)
        self.until(lambda: len(self.answers()) > before or self.problems(), "an answer")
        assert not self.problems()
        return self.answers()[-1].strip().lower()


def test_a_picture_in_and_the_right_answer_out_and_a_follow_up(
    chrome: Chrome, server: ServerProcess, tmp_path: Path
) -> None:
    visitor = Visitor(chrome, server.base)
    visitor.ready()
    assert visitor.find("model").text == "test-model"
    visitor.choose(drawn(tmp_path, (220, 30, 30), "red.png"))
    assert visitor.ask(COLOUR) == "red"
    assert visitor.ask(SHAPE) == "square"  # the picture is still in view
    assert "key-dialog" not in [
        one.get_attribute("id") for one in chrome.find_elements(By.CSS_SELECTOR, "[open]")
    ]
    visitor.find("new").click()
    visitor.choose(drawn(tmp_path, (30, 60, 220), "blue.webp", "WEBP"))
    assert visitor.ask(COLOUR) == "blue"
    assert len(visitor.answers()) == 1
    assert complaints(chrome) == []


def test_nothing_is_fetched_from_elsewhere(chrome: Chrome, server: ServerProcess, tmp_path: Path) -> None:
    visitor = Visitor(chrome, server.base)
    visitor.ready()
    visitor.choose(drawn(tmp_path, (220, 30, 30), "red.png"))
    visitor.ask(COLOUR)
    urls = {sent["url"] for sent in asked_for(chrome)} - {None}
    assert {url for url in urls if not url.startswith((server.base, "data:"))} == set()
    assert f"{server.base}/v1/chat/completions" in urls


def test_dropping_and_pasting(chrome: Chrome, server: ServerProcess, tmp_path: Path) -> None:
    """A drop and a paste as the browser makes them: events that carry a file."""
    visitor = Visitor(chrome, server.base)
    visitor.ready()
    for event, colour, rgb in (("drop", "red", (220, 30, 30)), ("paste", "green", (30, 150, 50))):
        raw = drawn(tmp_path, rgb, f"{colour}.png").read_bytes()
        chrome.execute_script(
            """
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(arguments[1])], "made.png", {type: "image/png"}));
            const more = {bubbles: true, cancelable: true};
            const made = arguments[0] === "drop"
              ? new DragEvent("drop", {...more, dataTransfer: data})
              : new ClipboardEvent("paste", {...more, clipboardData: data});
            dispatchEvent(made);
            """,
            event,
            list(raw),
        )
        visitor.until(lambda: chrome.find_elements(By.CSS_SELECTOR, "#chosen img"), "a thumbnail")
        assert visitor.ask(COLOUR) == colour
        visitor.find("new").click()


def test_by_keyboard_alone(chrome: Chrome, server: ServerProcess, tmp_path: Path) -> None:
    visitor = Visitor(chrome, server.base)
    visitor.ready()
    assert chrome.switch_to.active_element.get_attribute("id") == "question"
    visitor.choose(drawn(tmp_path, (220, 30, 30), "one.png"), drawn(tmp_path, (30, 60, 220), "two.png"))
    reached = []
    for _ in range(12):
        ActionChains(chrome).send_keys(Keys.TAB).perform()
        reached.append(chrome.switch_to.active_element.accessible_name)
    for name in (
        "Choose a picture",
        "Remove one.png",
        "Remove two.png",
        "Add a picture",
        "Your question",
        "Send",
    ):
        assert any(found.startswith(name) for found in reached), (name, reached)
    chrome.find_element(By.CSS_SELECTOR, "#chosen button").send_keys(Keys.ENTER)  # the red one goes
    assert visitor.ask(COLOUR) == "blue"
    visitor.type("one line" + Keys.SHIFT + Keys.ENTER + Keys.NULL + "another")
    assert visitor.find("question").get_property("value") == "one line\nanother"


def test_what_a_screen_reader_meets(chrome: Chrome, server: ServerProcess, tmp_path: Path) -> None:
    visitor = Visitor(chrome, server.base)
    visitor.ready()
    for element in chrome.find_elements(By.CSS_SELECTOR, "button, input, textarea, img"):
        if element.is_displayed():
            assert element.accessible_name, element.get_attribute("outerHTML")
    visitor.choose(drawn(tmp_path, (220, 30, 30), "red.png"))
    visitor.ask(COLOUR)
    assert visitor.find("log").aria_role == "log"
    assert visitor.find("log").get_attribute("aria-busy") == "false"
    visitor.until(
        lambda: visitor.find("said").get_property("textContent").strip() == "red", "the answer is spoken"
    )
    assert chrome.find_element(By.CSS_SELECTOR, ".shown img").get_attribute("alt")


@pytest.mark.parametrize("width", [320, 375, 1100])
def test_no_screen_is_too_small(chrome: Chrome, server: ServerProcess, tmp_path: Path, width: int) -> None:
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 640, "deviceScaleFactor": 1, "mobile": False},
    )
    try:
        visitor = Visitor(chrome, server.base)
        visitor.ready()
        visitor.choose(drawn(tmp_path, (220, 30, 30), "red.png"))
        visitor.ask("x" * 300)
        wide = chrome.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width
        box = visitor.find("send").rect
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 640
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of `rgb(r, g, b)`."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_both_readable(chrome: Chrome, server: ServerProcess, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: text has a contrast of at least 4.5."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        visitor = Visitor(chrome, server.base)
        visitor.ready()
        ground = luminance(chrome.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"))
        assert (ground > 0.5) == (scheme == "light")
        for selector in ("h1", ".welcome p", "#state", ".hint", "#model"):
            ink = luminance(chrome.find_element(By.CSS_SELECTOR, selector).value_of_css_property("color"))
            assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5, selector
    finally:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_with_a_key(chrome: Chrome, keyed: ServerProcess, tmp_path: Path) -> None:
    visitor = Visitor(chrome, keyed.base)
    visitor.until(lambda: visitor.find("key").is_displayed(), "the question for the key")
    visitor.find("key").send_keys("wrong" + Keys.ENTER)
    visitor.until(lambda: visitor.find("key-wrong").text == "The server does not know this key.", "a refusal")
    visitor.find("key").send_keys(keyed.key + Keys.ENTER)
    visitor.ready()
    visitor.choose(drawn(tmp_path, (220, 30, 30), "red.png"))
    assert visitor.ask(COLOUR) == "red"
    for sent in asked_for(chrome):
        assert keyed.key not in sent["url"]
        assert keyed.key not in sent["headers"].get("Referer", "")
    assert keyed.key not in chrome.current_url
    assert keyed.key not in chrome.page_source
    assert chrome.execute_script("return JSON.stringify(localStorage) + document.cookie") == "{}"
    chrome.refresh()
    visitor.ready()  # the tab still has it
    assert not visitor.find("key").is_displayed()
    visitor.find("key-button").click()
    visitor.find("key-forget").click()
    visitor.until(lambda: visitor.find("key").is_displayed(), "the question for the key")
    assert chrome.execute_script("return sessionStorage.length") == 0
    assert keyed.key not in keyed.log.read_text()


def test_errors_are_shown_in_words_and_the_next_question_is_free_of_them(
    chrome: Chrome, server: ServerProcess, tmp_path: Path
) -> None:
    visitor = Visitor(chrome, server.base)
    visitor.ready()
    broken = tmp_path / "broken.png"
    broken.write_bytes(drawn(tmp_path, (220, 30, 30), "red.png").read_bytes()[:300])
    visitor.choose(broken)
    visitor.type(COLOUR + Keys.ENTER)
    visitor.until(visitor.problems, "a problem")
    assert visitor.problems()[0].startswith("Picture 1 (messages[0].content[0]) ")
    assert chrome.find_element(By.CSS_SELECTOR, ".problem").get_attribute("role") == "alert"
    assert chrome.find_element(By.CSS_SELECTOR, ".problem button").text == "Try again"
    visitor.find("new").click()
    visitor.choose(tmp_path / "red.png")
    assert visitor.ask(COLOUR) == "red"
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    visitor.find("file").send_keys(str(text))
    visitor.until(visitor.problems, "a problem")
    assert "notes.txt" in visitor.problems()[0]


def test_the_policy_lets_nothing_else_run(chrome: Chrome, server: ServerProcess) -> None:
    answer = httpx.get(server.base + "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    Visitor(chrome, server.base).ready()
    assert complaints(chrome) == []  # its own script and style do run
    chrome.execute_script(
        """
        const script = document.createElement("script");
        try { script.textContent = "window.injected = 1"; document.body.append(script); } catch (error) {}
        const image = document.createElement("img");
        try { image.setAttribute("onerror", "window.injected = 1"); } catch (error) {}
        image.src = "data:,";
        document.body.append(image);
        try { document.body.insertAdjacentHTML("beforeend", "<p id=injected></p>"); } catch (error) {}
        """
    )
    time.sleep(0.5)
    assert chrome.execute_script("return [window.injected, document.getElementById('injected')]") == [
        None,
        None,
    ]
    assert any("Content Security Policy" in said or "TrustedHTML" in said for said in complaints(chrome))


class ServerStandIn:
    """For a server whose answer is a script, or never ends: what the canary would not say. Serves the page as
    it lies in the repository, and keeps what it was sent.
    """

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.endless = False
        self.fail = ""
        self.left = threading.Event()
        self.sent: list[dict[str, Any]] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                card = {"id": "stand-in", "object": "model", "max_images": 8}
                pages = {
                    "/": PAGE.read_text(),
                    "/ready": '{"status": "ready"}',
                    "/v1/models": json.dumps({"data": [card]}),
                }
                body = pages.get(self.path, "").encode()
                self.send_response(200 if body else 404)
                self.send_header(
                    "Content-Type", "text/html; charset=utf-8" if self.path == "/" else "application/json"
                )
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                stand_in.sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                try:
                    for piece in stand_in.pieces:
                        self.event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
                    while stand_in.endless:
                        self.event({"choices": [{"delta": {"content": "more "}, "finish_reason": None}]})
                        time.sleep(0.05)
                    if stand_in.fail:
                        self.event({"error": {"message": stand_in.fail}})
                        return
                    self.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    stand_in.left.set()

            def event(self, data: dict[str, Any]) -> None:
                self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def stand_in() -> Iterator[ServerStandIn]:
    made = ServerStandIn()
    yield made
    made.endless = False
    made.server.shutdown()
    made.server.server_close()


def test_an_answer_is_text_whatever_stands_in_it(chrome: Chrome, stand_in: ServerStandIn) -> None:
    """Without the server's policy: the page itself makes no markup of an answer."""
    said = "<img src=x onerror='window.hit=1'><script>window.hit=1</script><b>bold</b> javascript:alert(1)"
    stand_in.pieces = [said[at : at + 7] for at in range(0, len(said), 7)]
    visitor = Visitor(chrome, stand_in.base)
    visitor.ready()
    assert visitor.ask("hello <b>there</b>") == said.lower()
    assert chrome.find_elements(By.CSS_SELECTOR, ".words *") == []
    assert chrome.find_element(By.CSS_SELECTOR, ".user .words").text == "hello <b>there</b>"
    assert chrome.execute_script("return window.hit") is None


def test_stop_keeps_what_was_said_and_tells_the_server(chrome: Chrome, stand_in: ServerStandIn) -> None:
    stand_in.endless = True
    visitor = Visitor(chrome, stand_in.base)
    visitor.ready()
    visitor.type("go on" + Keys.ENTER)
    visitor.until(
        lambda: "more more" in chrome.find_element(By.CSS_SELECTOR, ".assistant .words").text, "a stream"
    )
    assert not visitor.find("send").is_displayed()
    visitor.find("stop").click()
    assert stand_in.left.wait(30)
    visitor.until(lambda: visitor.answers(), "an end")
    assert "stopped" in chrome.find_element(By.CSS_SELECTOR, ".note").text
    assert visitor.find("send").is_displayed()
    stand_in.endless, stand_in.pieces = False, ["done"]
    assert visitor.ask("and now?") == "done"
    roles = [message["role"] for message in stand_in.sent[-1]["messages"]]
    assert roles == ["user", "assistant", "user"]
    stand_in.left.clear()
    stand_in.endless = True
    visitor.type("again" + Keys.ENTER)
    visitor.until(lambda: visitor.find("stop").is_displayed(), "a stream")
    visitor.until(
        lambda: "more" in chrome.find_elements(By.CSS_SELECTOR, ".assistant .words")[-1].text, "a stream"
    )
    ActionChains(chrome).send_keys(Keys.ESCAPE).perform()
    assert stand_in.left.wait(30)


def test_an_error_in_mid_stream_is_shown_and_can_be_tried_again(
    chrome: Chrome, stand_in: ServerStandIn
) -> None:
    stand_in.pieces, stand_in.fail = ["half an "], "The server is shutting down."
    visitor = Visitor(chrome, stand_in.base)
    visitor.ready()
    visitor.type("hello" + Keys.ENTER)
    visitor.until(visitor.problems, "a problem")
    assert visitor.problems() == ["The server is shutting down."]
    stand_in.pieces, stand_in.fail = ["a whole answer"], ""
    chrome.find_element(By.CSS_SELECTOR, ".problem button").click()
    visitor.until(visitor.answers, "an answer")
    assert visitor.answers() == ["a whole answer"]
    assert visitor.problems() == []
    assert [message["content"][-1]["text"] for message in stand_in.sent[-1]["messages"]] == ["hello"]
