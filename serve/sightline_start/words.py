"""Readers of command-line words, for argparse. Each raises argparse.ArgumentTypeError."""

from __future__ import annotations

import argparse
import ipaddress


def address(text: str) -> str:
    """An IP address, in its usual form."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no IP address") from None


def port(text: str) -> int:
    """A TCP port that can be named."""
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port (1 to 65535)")
    return int(text)


def count(text: str) -> int:
    """A number of things, one at least."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1")
    return int(text)
