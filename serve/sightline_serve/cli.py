"""The command line: flags into Settings, bad ones refused before anything starts."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sightline_serve import __version__, auth, lean
from sightline_serve.errors import StartError
from sightline_serve.settings import MIB, Budget, Settings

EPILOG = """\
examples:
  sightline-serve --model ./canary/weights --served-model-name canary --port 8642
      on loopback, no key: only this machine can ask

  openssl rand -hex 32 > key && chmod 600 key
  sightline-serve --model ./canary/weights --host 0.0.0.0 --port 8642 --api-key-file key
      for others too: then a key is a must

  curl -H "Authorization: Bearer $(cat key)" http://127.0.0.1:8642/v1/models

endpoints: POST /v1/chat/completions, /v1/responses, /v1/completions, /tokenize, /detokenize;
           GET /v1/models, /openapi.json, /metrics (key needed when one is set);
           GET /health (the process lives), GET /ready (the model has answered a picture): never a key.
signals:    SIGTERM, SIGINT drain and end; SIGHUP reads --api-key-file again.
exit codes: 0 drained after SIGTERM or SIGINT; 1 could not start; 2 bad arguments.
"""


def _number(least: float, cast: Callable[[str], float] = int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = cast(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is less than {least:g} or not finite")
        return value

    return parse


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 0 (any free port) to 65535")
    return int(text)


def _share(text: str) -> float:
    value = _number(0, float)(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share: above 0, at most 1")
    return value


def _sha256(text: str) -> str:
    if re.fullmatch("[0-9a-f]{64}", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a SHA256: 64 digits 0-9a-f")
    return text


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="sightline-serve",
        description="Serve a vision-language model from a local folder, OpenAI-compatible.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"sightline-serve {__version__}")
    made.add_argument(
        "--log-level",
        default="info",
        choices=["debug", "info", "warning", "error"],
        help="how much is told (info)",
    )

    model = made.add_argument_group("model")
    model.add_argument(
        "--model", required=True, type=Path, metavar="DIR", help="folder with config.json, weights, processor"
    )
    model.add_argument("--served-model-name", metavar="NAME", help="what clients call it (the folder's name)")
    model.add_argument(
        "--loader", default="transformers", choices=["transformers", "phi3", "unsloth"],
        help="transformers; phi3: Phi-3-vision, which brings its own code; unsloth: 4 bits, CUDA only",
    )  # fmt: skip
    model.add_argument(
        "--trust-code", type=_sha256, metavar="SHA256",
        help="for --loader phi3: run the model's own code if this is its LC_ALL=C sha256sum *.py | sha256sum",
    )  # fmt: skip
    model.add_argument(
        "--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: a GPU if torch sees one"
    )
    model.add_argument(
        "--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"],
        help="auto: float32 on a CPU, the checkpoint's own on a GPU",
    )  # fmt: skip
    model.add_argument(
        "--max-model-len", type=_number(2), metavar="N", help="tokens of prompt + answer (the model's own)"
    )
    model.add_argument(
        "--threads",
        type=_number(1),
        metavar="N",
        help="torch's CPU threads (1 for small models, else every core)",
    )

    net = made.add_argument_group("listening")
    net.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="IP address to listen on (127.0.0.1)"
    )
    net.add_argument(
        "--port", type=_port, default=8000, metavar="N", help="0: any free port, shown in the log (8000)"
    )
    net.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="KEY or NAME KEY a line; a must beyond loopback"
    )
    net.add_argument("--open-metrics", action="store_true", help="/metrics without a key, though one is set")
    net.add_argument(
        "--drain-timeout",
        type=_number(0, float),
        default=30.0,
        metavar="S",
        help="for running requests after SIGTERM (30)",
    )

    work = made.add_argument_group("requests")
    work.add_argument(
        "--max-num-seqs", type=_number(1), default=8, metavar="N", help="in the model at once (8)"
    )
    work.add_argument(
        "--max-prefill-tokens",
        type=_number(1),
        metavar="N",
        help="of prompts, read between two tokens of the answers (512 for tiny models, 256, on a GPU 2048)",
    )
    work.add_argument(
        "--max-queue", type=_number(1), default=64, metavar="N", help="waiting; more get 429 (64)"
    )
    work.add_argument(
        "--max-body-mib", type=_number(0.001, float), default=32, metavar="N", help="one request's body (32)"
    )
    work.add_argument(
        "--body-timeout", type=_number(0.01, float), default=60, metavar="S", help="for it to arrive (60)"
    )
    work.add_argument(
        "--max-requests-per-key", type=_number(1), metavar="N", help="at once; more get 429 (no limit)"
    )

    room = made.add_argument_group(
        "memory", "Requests run together as far as their key/value cache fits; the others wait."
    )
    room.add_argument(
        "--kv-cache-mib",
        type=_number(0.001, float),
        metavar="N",
        help="the cache of all running requests (half of the free memory; on a GPU see below)",
    )
    room.add_argument(
        "--gpu-memory-utilization",
        type=_share,
        default=0.85,
        metavar="SHARE",
        help="of the GPU's memory, for weights and cache together; the rest is for the work itself (0.85)",
    )
    room.add_argument(
        "--vision-cache-mib",
        type=_number(0, float),
        default=256,
        metavar="N",
        help="features of pictures seen before, in the host's memory; 0: none (256)",
    )

    room.add_argument(
        "--prefix-cache-mib", type=_number(0, float), metavar="N",
        help="finished conversations, for follow-ups, on the model's device (as the weights, 8 to 256)",
    )  # fmt: skip

    pictures = made.add_argument_group(
        "pictures", "Number, bytes and pixels count all pictures of one request together."
    )
    pictures.add_argument("--max-images", type=_number(0), default=8, metavar="N", help="number (8)")
    pictures.add_argument(
        "--max-image-mib", type=_number(0.001, float), default=20, metavar="N", help="encoded files (20)"
    )
    pictures.add_argument(
        "--max-image-megapixels",
        type=_number(0.001, float),
        default=50,
        metavar="N",
        help="width x height, decoded (50)",
    )
    pictures.add_argument(
        "--image-timeout", type=_number(0.01, float), default=10, metavar="S", help="to fetch one by URL (10)"
    )
    pictures.add_argument(
        "--intake-workers", type=_number(1), default=2, metavar="N", help="threads that decode (2)"
    )
    pictures.add_argument(
        "--allow-image-hosts", default=[], metavar="HOST[,HOST...]", 
        type=lambda text: text.lower().split(","),
        help="fetch from these hosts even at private addresses",
    )  # fmt: skip
    pictures.add_argument(
        "--allow-private-image-urls", action="store_true",
        help="fetch from any address: only where every client may see all that this machine can reach",
    )  # fmt: skip
    return made


def settings_from(arguments: Sequence[str] | None = None) -> Settings:
    """Raises SystemExit(2) with a message for bad arguments."""
    made = parser()
    args = made.parse_args(arguments)
    if not (args.model / "config.json").is_file():
        made.error(f"--model {args.model}: no config.json there; it must be a folder with a model in it")
    if args.trust_code and args.loader != "phi3":
        made.error("--trust-code is for --loader phi3: the other loaders run no code of the model's own")
    try:
        loopback = ipaddress.ip_address(args.host).is_loopback
    except ValueError:
        made.error(
            f"--host {args.host}: not an IP address (127.0.0.1 for this machine only, 0.0.0.0 for all)"
        )
    if not loopback and not args.api_key_file:
        made.error(
            f"--host {args.host} can be reached from other machines: give an --api-key-file, or use 127.0.0.1"
        )
    try:
        keys = auth.read_keys(args.api_key_file) if args.api_key_file else ()
    except StartError as error:
        made.error(str(error))
    return Settings(
        model=args.model.resolve(),
        served_model_name=args.served_model_name or args.model.resolve().name,
        host=args.host,
        port=args.port,
        keys=keys,
        api_key_file=args.api_key_file,
        max_requests_per_key=args.max_requests_per_key,
        open_metrics=args.open_metrics,
        loader=args.loader,
        trust_code=args.trust_code,
        device=args.device,
        dtype=args.dtype,
        max_model_len=args.max_model_len,
        max_num_seqs=args.max_num_seqs,
        max_prefill_tokens=args.max_prefill_tokens,
        max_queue=args.max_queue,
        kv_cache_bytes=None if args.kv_cache_mib is None else int(args.kv_cache_mib * MIB),
        gpu_memory_utilization=args.gpu_memory_utilization,
        vision_cache_bytes=int(args.vision_cache_mib * MIB),
        prefix_cache_bytes=None if args.prefix_cache_mib is None else int(args.prefix_cache_mib * MIB),
        budget=Budget(
            pictures=args.max_images,
            bytes=int(args.max_image_mib * MIB),
            pixels=int(args.max_image_megapixels * 1e6),
            seconds=args.image_timeout,
        ),
        max_body_bytes=int(args.max_body_mib * MIB),
        body_timeout=args.body_timeout,
        allow_image_hosts=frozenset(host for host in args.allow_image_hosts if host),
        allow_private_image_urls=args.allow_private_image_urls,
        intake_workers=args.intake_workers,
        drain_timeout=args.drain_timeout,
        threads=args.threads,
        log_level=args.log_level,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)sZ %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    logging.Formatter.converter = time.gmtime
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the URLs of clients' pictures
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the server drains instead
    settings = settings_from(arguments)
    logging.getLogger().setLevel(settings.log_level.upper())
    if settings.api_key_file:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the server reads the keys again instead
    lean.before_imports()
    from sightline_serve import server  # torch takes seconds; --help and bad arguments need none of it

    try:
        return server.run(settings)
    except StartError as error:
        print(f"sightline-serve: {error}", file=sys.stderr)
        return 1
