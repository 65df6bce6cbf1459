"""The command line: our words are checked, made into vLLM's, and vLLM takes this process over."""

from __future__ import annotations

import argparse
import importlib.util
import ipaddress
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from sightline_start.errors import StartError
from sightline_start.keys import read_keys
from sightline_start.words import address, count, port

from sightline_vllm import __version__
from sightline_vllm.command import megapixels, variables, words
from sightline_vllm.settings import Node, Settings

EPILOG = """\
examples:
  python -m sightline_vllm --model models/qwen2.5-vl-7b --served-model-name qwen --max-model-len 8192
  python -m sightline_vllm --model DIR --host 0.0.0.0 --api-key-file key --tensor-parallel-size 2
  python -m sightline_vllm --model DIR --nnodes 2 --node-rank 1 --master-addr 10.0.0.1 \\
    --node-address 10.0.0.2 --interface eth1 --tensor-parallel-size 2

Words that are not listed here go to `vllm serve` as they are (`vllm serve --help=all` lists them).
Pictures: data URLs, and http(s) URLs of the hosts that --allowed-media-domains names, without redirects.
exit codes: 0 ended by SIGTERM or SIGINT; 1 could not start (one line says why); 2 bad arguments.
"""
OURS = ("--api-key", "--middleware", "--uds", "--headless", "--ssl-keyfile", "--allowed-local-media-path")
"""Words of vLLM's that would pass by the gate, show a key in the list of processes, or open the disk."""


def settings_from(arguments: Sequence[str] | None = None) -> Settings:
    """Exits with code 2 on bad arguments."""
    made = _parser()
    args, rest = made.parse_known_args(arguments)
    for word in rest:
        name = word.partition("=")[0].replace("_", "-")
        if name in OURS:
            made.error(f"{name} is not passed on to vLLM: {_instead(name)}")
    if not ipaddress.ip_address(args.host).is_loopback and not args.api_key_file:
        made.error(f"--host {args.host} is reached from other machines: give it an --api-key-file")
    return Settings(
        model=args.model,
        name=args.served_model_name or args.model.resolve().name,
        host=args.host,
        port=args.port,
        api_key_file=args.api_key_file,
        context=args.max_model_len,
        slots=args.max_num_seqs,
        pictures=args.max_images,
        pixels=megapixels(args.max_image_megapixels),
        scaled_pixels=args.scaled_pixels,
        share=args.gpu_memory_utilization,
        cache_bytes=args.kv_cache_memory_bytes,
        domains=tuple(args.allowed_media_domains),
        cards=args.tensor_parallel_size,
        node=_node(made, args),
        cpu=_is_installed("vllm-cpu"),
        rest=tuple(rest),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Does not return where vLLM starts; otherwise the exit code."""
    settings = settings_from(arguments)
    try:
        check(settings)
    except StartError as problem:
        print(f"sightline-vllm: {problem}", file=sys.stderr)
        return 1
    command = words(settings)
    print(f"starting {' '.join(command[1:])}", flush=True)
    os.execve(command[0], command, variables(settings, os.environ))


def check(settings: Settings) -> None:
    """What vLLM would say only after it has loaded for half a minute. Raises StartError."""
    if not (settings.model / "config.json").is_file():
        raise StartError(f"--model {settings.model}: there is no config.json; vLLM takes a model's folder.")
    if settings.api_key_file:
        read_keys(settings.api_key_file)
    found = importlib.util.find_spec("vllm")
    # A folder of that name without code is found too.
    if found is None or found.origin is None:
        raise StartError(f"{sys.executable} has no vLLM; its environment is release vllm-cpu or vllm-cu130.")


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="sightline-vllm",
        description="Serve a vision-language model with vLLM, OpenAI-compatible.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--version", action="version", version=f"sightline-vllm {__version__}")
    add("--model", required=True, type=Path, metavar="DIR", help="folder with config.json and safetensors")
    add("--served-model-name", metavar="NAME", help="what clients call it (the folder's name)")
    add("--host", type=address, default="127.0.0.1", metavar="ADDRESS", help="(127.0.0.1)")
    add("--port", type=port, default=8000, metavar="N", help="(8000)")
    add("--api-key-file", type=Path, metavar="FILE", help="KEY or NAME KEY a line; a must beyond loopback")
    add(
        "--max-model-len",
        type=count,
        default=0,
        metavar="N",
        help="tokens of one conversation (the model's)",
    )
    add("--max-num-seqs", type=count, default=0, metavar="N", help="conversations at once (vLLM's choice)")
    add("--max-images", type=count, default=8, metavar="N", help="pictures in one request (8)")
    add("--max-image-megapixels", type=_some, default=50.0, metavar="N", help="of one picture (50)")
    add(
        "--scaled-pixels",
        type=count,
        default=0,
        metavar="N",
        help="larger pictures are scaled to (the model's)",
    )
    add("--gpu-memory-utilization", type=_share, default=0.0, metavar="SHARE", help="of a card (vLLM's 0.92)")
    add(
        "--kv-cache-memory-bytes",
        type=count,
        default=0,
        metavar="N",
        help="instead of what the share leaves",
    )
    add(
        "--allowed-media-domains", action="extend", nargs="+", default=[], metavar="HOST",
        help="that picture URLs may name (none)",
    )  # fmt: skip
    add("--tensor-parallel-size", type=count, default=1, metavar="N", help="cards, of all nodes together (1)")
    nodes = made.add_argument_group(
        "several hosts", "one model on all of them; the head has rank 0 and listens"
    )
    nodes.add_argument("--nnodes", type=count, default=1, metavar="N", help="hosts (1)")
    nodes.add_argument("--node-rank", type=int, default=0, metavar="N", help="this one, from 0 (0)")
    nodes.add_argument("--master-addr", type=address, metavar="ADDRESS", help="of the head, in their network")
    nodes.add_argument("--master-port", type=port, default=29501, metavar="N", help="of the head (29501)")
    nodes.add_argument("--node-address", type=address, metavar="ADDRESS", help="of this host, there")
    nodes.add_argument("--interface", metavar="NAME", help="of this host, there")
    return made


def _node(made: argparse.ArgumentParser, args: argparse.Namespace) -> Node | None:
    if args.nnodes == 1:
        return None
    if not args.master_addr or not args.node_address or not args.interface:
        made.error("--nnodes takes --master-addr, --node-address and --interface too")
    if not 0 <= args.node_rank < args.nnodes:
        made.error(f"--node-rank is 0 to {args.nnodes - 1} of --nnodes {args.nnodes}, not {args.node_rank}")
    return Node(
        args.nnodes, args.node_rank, args.master_addr, args.master_port, args.node_address, args.interface
    )


def _instead(name: str) -> str:
    if name == "--api-key":
        return "every process sees it there; use --api-key-file"
    return (
        "set it up in front of the server" if name.startswith("--ssl") else "the gate and the host rely on it"
    )


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _some(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return number


def _share(text: str) -> float:
    number = _some(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share (above 0, at most 1)")
    return number
