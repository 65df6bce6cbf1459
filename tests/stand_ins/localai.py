"""Stands in for LocalAI's binary (v4.9.0): its commands, variables, folders, and how little it complains.

    local-ai backends install ocifile:///x.tar NAME ALIAS     an image's files into LOCALAI_BACKENDS_PATH/NAME
    local-ai run                                              serve what LOCALAI_MODELS_PATH holds

As the real one it ignores keys that it does not know, skips a model file that it cannot read while /readyz
says 200, takes the name of a template that is missing for the prompt itself, drops a picture that it cannot
decode, and finds out that a backend is missing only when it is asked. What answers is a real llama.cpp: the
backend's run.sh (localai_backend.py) is started with the pair, as LocalAI starts its backends. Other commands
and other addresses than ocifile:// are refused.

Run by a Python with PyYAML and Pillow; tests/localai/making.py makes an executable of it.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

PUBLIC = ("/healthz", "/readyz")
LOOSE = (".yaml", ".yml", ".tmpl", ".json", ".txt")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def flag(name: str) -> bool:
    return os.environ.get(name, "").lower() == "true"


def install(address: str, name: str, alias: str) -> int:
    """An archive as `docker save` writes it: manifest.json names the layers."""
    if not address.startswith("ocifile://"):
        say(f"failed to download backend {address!r}: no network here")
        return 1
    target = Path(os.environ["LOCALAI_BACKENDS_PATH"]) / name
    # The real one keeps its folders to its own user and group.
    target.mkdir(parents=True, exist_ok=True, mode=0o750)
    try:
        with tarfile.open(address.removeprefix("ocifile://")) as image:
            manifest = image.extractfile("manifest.json")
            assert manifest is not None
            for layer in json.load(manifest)[0]["Layers"]:
                content = image.extractfile(layer)
                assert content is not None
                with tarfile.open(fileobj=io.BytesIO(content.read())) as files:
                    files.extractall(target, filter="data")
    except (OSError, KeyError, ValueError, tarfile.TarError) as problem:
        say(f"failed to unpack {address}: {problem!r}")
        return 1
    (target / "metadata.json").write_text(json.dumps({"name": name, "alias": alias}))
    return 0


class Backend:
    """One model's llama.cpp: started at the first question, or at the start where that is asked for."""

    def __init__(self, run: Path, models: Path, told: dict[str, Any]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        pair = [str(models / told["parameters"]["model"]), str(models / str(told.get("mmproj", "")))]
        words = ["--addr", f"127.0.0.1:{port}", "--context", str(told.get("context_size", 512))]
        self.process = subprocess.Popen(["/bin/sh", str(run), *words, *pair])
        deadline = time.monotonic() + 120
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("could not load model: rpc error: backend ended")
            time.sleep(0.1)
        self.marker = str(self.ask("/props")["media_marker"])

    def _answers(self) -> bool:
        try:
            return bool(self.ask("/health"))
        except OSError:
            return False

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)


class Server:
    """The models folder as LocalAI reads it once at the start, and the backends it has started."""

    def __init__(self) -> None:
        self.models = Path(os.environ["LOCALAI_MODELS_PATH"])
        self.keys = [key for key in os.environ.get("LOCALAI_API_KEY", "").split(",") if key]
        self.told: dict[str, dict[str, Any]] = {}
        self.running: dict[str, Backend] = {}
        self.starting = threading.Lock()
        for file in sorted(self.models.glob("*.yaml")):
            try:
                told = yaml.safe_load(file.read_text())
                self.told[told["name"]] = told
            except (yaml.YAMLError, KeyError, TypeError) as problem:
                say(f"WRN skipping {file.name}: {problem!r}")

    def listed(self) -> list[str]:
        """Configured models, and files that no model file names."""
        configured = {told.get("parameters", {}).get("model") for told in self.told.values()}
        loose = [file.name for file in self.models.iterdir() if not file.name.endswith(LOOSE)]
        return [*self.told, *(name for name in loose if name not in configured)]

    def backend(self, told: dict[str, Any]) -> Backend:
        with self.starting:
            if told["name"] not in self.running:
                run = self._run_file(str(told.get("backend", "")))
                self.running[told["name"]] = Backend(run, self.models, told)
            return self.running[told["name"]]

    def _run_file(self, wanted: str) -> Path:
        for run in Path(os.environ["LOCALAI_BACKENDS_PATH"]).glob("*/run.sh"):
            metadata = run.parent / "metadata.json"
            alias = json.loads(metadata.read_text()).get("alias") if metadata.is_file() else None
            if wanted in (run.parent.name, alias):
                return run
        raise RuntimeError(f"failed to load model: backend not found: {wanted}")

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        told = self.told.get(asked["model"])
        if told is None:
            raise RuntimeError(f"could not load model {asked['model']!r}: no backend takes it")
        backend = self.backend(told)
        parameters = {key: value for key, value in told.get("parameters", {}).items() if key != "model"}
        wishes = parameters | {key: value for key, value in asked.items() if key != "messages"}
        wishes["stream"] = False
        template = told.get("template") or {}
        if template.get("use_tokenizer_template"):
            messages = [{**message, "content": kept(message["content"])} for message in asked["messages"]]
            return dict(backend.ask("/v1/chat/completions", {**wishes, "messages": messages}))
        prompt, pictures = self.prompt(told, asked["messages"], backend.marker)
        body = {
            **wishes,
            "prompt": {"prompt_string": prompt, "multimodal_data": pictures},
            "n_predict": wishes.get("max_completion_tokens") or wishes.get("max_tokens") or 128,
        }
        found = backend.ask("/completion", body)
        ended = "length" if found.get("stop_type") == "limit" else "stop"
        usage = {"prompt_tokens": found["tokens_evaluated"], "completion_tokens": found["tokens_predicted"]}
        usage["total_tokens"] = sum(usage.values())
        message = {"role": "assistant", "content": found["content"]}
        return {"choices": [{"index": 0, "finish_reason": ended, "message": message}], "usage": usage}

    def prompt(
        self, told: dict[str, Any], messages: list[dict[str, Any]], marker: str
    ) -> tuple[str, list[str]]:
        """The prompt as LocalAI puts it together, and the pictures for its markers."""
        turns, pictures = [], []
        for message in messages:
            text = ""
            for part in kept(message["content"]):
                if part["type"] == "text":
                    text += str(part["text"])
                else:
                    text += marker + "\n"
                    pictures.append(part["image_url"]["url"].partition(",")[2])
            turns.append((told.get("roles") or {}).get(message["role"], "") + text)
        said = "\n".join(turns)
        chat = str((told.get("template") or {}).get("chat") or "")
        file = self.models / f"{chat}.tmpl"
        template = file.read_text() if chat and file.is_file() else chat
        prompt = template.replace("{{.Input}}", said) if template else said
        # Where the template lost the markers, the pictures go nowhere.
        return prompt, pictures[: prompt.count(marker)]


def kept(content: Any) -> list[dict[str, Any]]:
    """The parts of a message, less the pictures that cannot be decoded."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    return [part for part in parts if part["type"] == "text" or decodes(part["image_url"]["url"])]


def decodes(url: str) -> bool:
    try:
        with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2], validate=True))) as picture:
            picture.load()
    except (OSError, ValueError, binascii.Error, SyntaxError) as problem:
        say(f"ERR failed decoding an image: {problem!r}")
        return False
    return url.startswith("data:")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Server

    def log_message(self, *arguments: object) -> None:
        pass

    def reply(self, status: int, body: Any, kind: str = "application/json") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, what: str) -> None:
        self.reply(status, {"error": {"code": status, "message": what, "type": ""}})

    def enters(self) -> bool:
        keys = self.served.keys
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not keys or given in keys:
            return True
        self.refuse(401, "An authentication key is required")
        return False

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in PUBLIC:
            self.reply(200, b"OK", "text/plain")
        elif not self.enters():
            pass
        elif path == "/v1/models":
            data = [{"id": name, "object": "model"} for name in self.served.listed()]
            self.reply(200, {"object": "list", "data": data})
        elif path == "/metrics":
            self.reply(200, b"api_call_count 1\n", "text/plain")
        elif path == "/" and not flag("LOCALAI_DISABLE_WEBUI"):
            self.reply(200, b"<html>LocalAI</html>", "text/html")
        else:
            self.refuse(404, "Resource not found")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.enters():
            return
        if self.path != "/v1/chat/completions":
            self.refuse(404, "Resource not found")
            return
        try:
            asked = json.loads(body)
            found = self.served.answer(asked)
        except urllib.error.HTTPError as problem:
            self.refuse(500, f"rpc error: {problem.read().decode(errors='replace')[:300]}")
        except (RuntimeError, OSError, KeyError, ValueError) as problem:
            self.refuse(500, str(problem))
        else:
            found |= {"object": "chat.completion", "model": asked["model"], "created": int(time.time())}
            if asked.get("stream"):
                self.stream(found)
            else:
                self.reply(200, found)

    def stream(self, found: dict[str, Any]) -> None:
        """The whole answer in one piece, and how it ended in another."""
        choice = found["choices"][0]
        kind = {"object": "chat.completion.chunk", "model": found["model"], "created": found["created"]}
        pieces = [
            {**kind, "choices": [{"index": 0, "delta": choice["message"], "finish_reason": None}]},
            {**kind, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
            {**kind, "choices": [], "usage": found.get("usage")},
        ]
        lines = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
        self.reply(200, lines.encode(), "text/event-stream")


def run() -> int:
    host, _, port = os.environ.get("LOCALAI_ADDRESS", ":8080").rpartition(":")
    Handler.served = served = Server()
    web = ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
    for name in filter(None, os.environ.get("LOCALAI_LOAD_TO_MEMORY", "").split(",")):
        try:
            served.backend(served.told[name])
        except (KeyError, RuntimeError, OSError) as problem:
            say(f"ERR loading {name}: {problem!r}")

    def end(*_: object) -> None:
        for backend in served.running.values():
            backend.process.terminate()
            backend.process.wait(10)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    web.serve_forever()
    return 0


def main() -> int:
    words = sys.argv[1:]
    if words[:2] == ["backends", "install"] and len(words) == 5:
        return install(*words[2:])
    if words[:1] == ["run"]:
        return run()
    say(f"local-ai: unexpected argument {' '.join(words)}")
    return 80


if __name__ == "__main__":
    raise SystemExit(main())
