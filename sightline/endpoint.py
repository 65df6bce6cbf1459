"""Print where a deployed model answers: for people, or as JSON for other programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from shlex import quote

from sightline import deployment
from sightline.layout import CHECKOUT


def curl_line(base_url: str, model: str, api_key_file: str, ca_file: str | None = None) -> str:
    """A command to paste: asks the model without a picture, the key read from its file."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "What is 3 plus 4?"}]})
    trust = f"--cacert {quote(ca_file)} " if ca_file else ""
    return (
        f'curl {trust}{base_url}/chat/completions -H "Authorization: Bearer $(cat {quote(api_key_file)})" '
        f"-H 'Content-Type: application/json' -d {quote(body)}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/endpoint",
        description="Print where a deployed model answers, from what scripts/up recorded.",
        epilog="Example: base_url, model and api_key_file for another program: scripts/endpoint --json",
    )
    parser.add_argument("--host", help="name of the host in the inventory; needed when several are deployed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    try:
        found = deployment.load(deployment.find(CHECKOUT, options.host))
    except deployment.DeploymentError as problem:
        print(f"endpoint: {problem}", file=sys.stderr)
        return 1
    if options.json:
        shown = {
            "host": found.host,
            "base_url": found.base_url,
            "model": found.model,
            "api_key_file": found.api_key_file,
        }
        if found.ca_file:
            shown["ca_file"] = found.ca_file
        print(json.dumps(shown, indent=1))
        return 0
    print(f"endpoint  {found.base_url}")
    print(f"model     {found.model}")
    print(f"API key   in {found.api_key_file}")
    if found.ca_file:
        print(f"authority {found.ca_file}   (certifies the endpoint: --cacert of curl, SSL_CERT_FILE)")
    port = found.service.port
    if found.connection.type == "ssh" and found.service.bind.startswith("127."):
        print(f"tunnel    ssh -N -L {port}:{found.service.bind}:{port} {_target(found)}")
    print(f"try       {curl_line(found.base_url, found.model, found.api_key_file, found.ca_file)}")
    return 0


def _target(found: deployment.Deployment) -> str:
    connection = found.connection
    user = f"{connection.user}@" if connection.user else ""
    key = f"-i {quote(connection.private_key_file)} " if connection.private_key_file else ""
    return f"{key}-p {connection.port} {user}{connection.host}"


if __name__ == "__main__":
    sys.exit(main())
