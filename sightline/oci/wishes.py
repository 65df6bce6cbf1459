"""What a gateway is to be told of Oracle's service, worked out from the inventory and ~/.oci/config.

What cannot work is refused before anything is touched.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.oci import MODEL, MOST_ANSWER_TOKENS, MOST_PICTURE_BYTES, PICTURE_LANGUAGE
from sightline.oci.endpoints import check_endpoint
from sightline.oci.errors import OciTrouble
from sightline.oci.profile import CONFIG, DEFAULT, Profile, read_profile

CHECKOUT = Path(__file__).resolve().parents[2]
API_KEY, INSTANCE_PRINCIPAL = "api_key", "instance_principal"
_COMPARTMENT = re.compile(r"ocid1\.(compartment|tenancy)\.[\w.-]+")
_REGION = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")

LIMITS = (
    f"pictures are PNG or JPEG data URLs of up to {MOST_PICTURE_BYTES // 10**6} MB, answers have up to "
    f"{MOST_ANSWER_TOKENS} tokens, and with a picture the model supports {PICTURE_LANGUAGE} only"
)


@dataclass(frozen=True)
class Wishes:
    """The inventory's gateway_oci_* by what follows that prefix. `check`: ask the region for the model."""

    auth: str = API_KEY
    config_file: str = str(CONFIG)
    profile: str = DEFAULT
    region: str = ""
    compartment: str = ""
    model: str = MODEL
    endpoint: str = ""
    federation_endpoint: str = ""
    check: bool = True


@dataclass(frozen=True)
class Ready:
    """`settings`: the gateway's entry `oci` (serve/sightline_gateway/oci_params.py) without the key's file,
    which lies at `key_file` on the controller ("": an instance principal has none). `notes`: what to know.
    """

    settings: dict[str, str]
    key_file: str
    notes: tuple[str, ...]


Ask = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def make_ready(wishes: Wishes, ask: Ask | None = None) -> Ready:
    """Check the wishes, on this machine and (`check`) with the region itself.

    `ask` runs scripts/ask-oci with words. Raises OciTrouble: the first thing that is in the way.
    """
    for endpoint in (wishes.endpoint, wishes.federation_endpoint):
        check_endpoint(endpoint)
    if wishes.compartment and not _COMPARTMENT.fullmatch(wishes.compartment):
        raise OciTrouble(
            f"gateway_oci_compartment is {wishes.compartment!r}",
            "it looks like ocid1.compartment.oc1..aaaa...",
        )
    if wishes.auth == INSTANCE_PRINCIPAL:
        return _by_instance(wishes)
    if wishes.auth != API_KEY:
        raise OciTrouble(f"gateway_oci_auth is {wishes.auth!r}", f"it is {API_KEY} or {INSTANCE_PRINCIPAL}")
    profile = read_profile(Path(wishes.config_file), wishes.profile, wishes.region)
    if profile.passphrase:
        raise OciTrouble(
            f"the key {profile.key_file} is encrypted, and LiteLLM opens none that is",
            "give the gateway a key of its own without a passphrase (a profile more, gateway_oci_profile), "
            "or an instance principal",
        )
    compartment = wishes.compartment or profile.tenancy
    settings = _settings(wishes, profile.region, compartment)
    settings |= {"user": profile.user, "tenancy": profile.tenancy, "fingerprint": profile.fingerprint}
    notes = _ask_region(wishes, profile, compartment, ask or _ask_oci) if wishes.check else _UNASKED
    return Ready(settings, str(profile.key_file), (*notes, LIMITS))


_UNASKED = ("the region was not asked whether it offers the model (gateway_oci_check)",)


def _by_instance(wishes: Wishes) -> Ready:
    """Only the instance itself could ask the region."""
    for name in ("region", "compartment"):
        if not getattr(wishes, name):
            raise OciTrouble(
                f"gateway_oci_{name} is not set",
                "an instance principal has no ~/.oci/config to take it from: write it into the inventory",
            )
    if not _REGION.fullmatch(wishes.region):
        raise OciTrouble(f"gateway_oci_region is {wishes.region!r}", "it looks like us-chicago-1")
    note = "whether the region offers the model only the instance can ask: scripts/ask-oci --check there"
    return Ready(_settings(wishes, wishes.region, wishes.compartment), "", (note, LIMITS))


def _settings(wishes: Wishes, region: str, compartment: str) -> dict[str, str]:
    settings = {
        "auth": wishes.auth,
        "model": wishes.model,
        "region": region,
        "compartment": compartment,
        "endpoint": wishes.endpoint,
        "federation_endpoint": wishes.federation_endpoint,
    }
    return {name: value for name, value in settings.items() if value}


def _ask_region(wishes: Wishes, profile: Profile, compartment: str, ask: Ask) -> tuple[str, ...]:
    words = ["--check", "--json", "--model", wishes.model, "--region", profile.region]
    words += ["--config", wishes.config_file, "--profile", wishes.profile, "--compartment", compartment]
    ended = ask([*words, *(["--endpoint", wishes.endpoint] if wishes.endpoint else [])])
    try:
        offer = json.loads(ended.stdout)
        problem, remedy, note = str(offer["problem"]), str(offer["remedy"]), str(offer["note"])
    except (ValueError, KeyError, TypeError):
        said = (
            " ".join(ended.stderr.split()).removeprefix("ask-oci: ")[-600:] or f"exit code {ended.returncode}"
        )
        problem, remedy, note = (
            f"the region {profile.region} could not be asked for the model: {said}",
            "",
            "",
        )
    if problem:
        skip = "-e gateway_oci_check=false goes on without asking"
        raise OciTrouble(problem, f"{remedy}; {skip}" if remedy else skip, ours=False)
    until = f"until {offer['retires']}" if offer["retires"] else "and tells no date of its retirement"
    return (f"{profile.region} offers {wishes.model}, {until}", *([note] if note else []))


def _ask_oci(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CHECKOUT / "scripts/ask-oci"), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
