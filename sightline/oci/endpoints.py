"""Addresses in place of a region's own: pictures go nowhere that others could read them on the way."""

from __future__ import annotations

from urllib.parse import urlsplit

from sightline.oci.errors import OciTrouble


def check_endpoint(endpoint: str) -> None:
    """Refuse an address that pictures should not go to. Raises OciTrouble."""
    if not endpoint:
        return
    parts = urlsplit(endpoint)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise OciTrouble(
            f"{endpoint!r} is no address for pictures", "write it like https://host, without a path"
        )
