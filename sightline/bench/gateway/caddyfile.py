"""The role's Caddyfile without Ansible, for a gateway that is started by hand."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2

from sightline.layout import CHECKOUT

LIMIT = "64MB"
"""Of a request, as deployments have it."""


def write_caddyfile(folder: Path, port: int, inner_port: int, body_limit: str = LIMIT) -> Path:
    """Caddy on loopback's `port` before the gateway on `inner_port`, with an authority of its own in
    `folder`; returns the file.
    """
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(CHECKOUT / "roles/gateway/templates"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters["to_json"] = json.dumps
    told = {
        "__gateway_caddy": str(folder / "caddy-state"),
        "gateway_name": "127.0.0.1",
        "gateway_bind": "127.0.0.1",
        "gateway_port": port,
        "gateway_inner_port": inner_port,
        "gateway_tls": "internal",
        "gateway_body_limit": body_limit,
    }
    file = folder / "Caddyfile"
    file.write_text(templates.get_template("Caddyfile.j2").render(told))
    return file


def authority(folder: Path) -> Path:
    """The certificate of the authority, once Caddy has made it."""
    return folder / "caddy-state/pki/authorities/local/root.crt"
