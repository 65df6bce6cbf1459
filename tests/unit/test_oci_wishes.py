"""What a gateway is told of Oracle's service, and what is refused before anything is touched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sightline_gateway.oci_params import litellm_params, read_oci

from sightline.oci import MODEL
from sightline.oci.errors import OciTrouble
from sightline.oci.wishes import LIMITS, Wishes, make_ready
from tests.stand_ins.oci_identity import COMPARTMENT, REGION, TENANCY, USER, ApiKey


@pytest.fixture(scope="module")
def api_key() -> ApiKey:
    """One key for all."""
    return ApiKey()


class Region:
    """Stands for scripts/ask-oci --check: answers with one offer, and notes the words."""

    def __init__(self, **offer: Any) -> None:
        self.offer = {"problem": "", "remedy": "", "note": "", "retires": None} | offer
        self.words: Sequence[str] = ()

    def __call__(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.words = words
        return subprocess.CompletedProcess(words, 0, json.dumps(self.offer), "")


def test_a_key_s_settings(api_key: ApiKey, tmp_path: Path) -> None:
    config, region = api_key.write_config(tmp_path / "oci"), Region(retires="2027-03-01")
    ready = make_ready(Wishes(config_file=str(config), compartment=COMPARTMENT), region)
    assert ready.settings == {
        "auth": "api_key",
        "model": MODEL,
        "region": REGION,
        "compartment": COMPARTMENT,
        "user": USER,
        "tenancy": TENANCY,
        "fingerprint": api_key.fingerprint,
    }
    assert ready.key_file == str(tmp_path / "oci/key.pem")
    assert ready.notes == (f"{REGION} offers {MODEL}, until 2027-03-01", LIMITS)
    assert list(region.words)[:3] == ["--check", "--json", "--model"]
    assert {COMPARTMENT, str(config), REGION} <= set(region.words)
    # The host's side takes them, once it has the key.
    params = litellm_params(read_oci(ready.settings | {"key_file": "/etc/key.pem"}))
    assert params["oci_compartment_id"] == COMPARTMENT


def test_without_a_compartment_it_is_the_root_one(api_key: ApiKey, tmp_path: Path) -> None:
    config = api_key.write_config(tmp_path / "oci")
    wishes = Wishes(config_file=str(config), region="uk-london-1", check=False)
    ready = make_ready(wishes, Region())
    assert (ready.settings["compartment"], ready.settings["region"]) == (TENANCY, "uk-london-1")
    assert "was not asked" in ready.notes[0]


def test_an_instance_s_settings() -> None:
    wishes = Wishes(auth="instance_principal", region=REGION, compartment=COMPARTMENT)
    ready = make_ready(wishes)
    assert ready.key_file == ""
    assert read_oci(ready.settings).auth == "instance_principal"
    assert "only the instance can ask" in ready.notes[0]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no region of an instance": (
        {"auth": "instance_principal", "compartment": COMPARTMENT},
        "oci_region is not",
    ),
    "no compartment of one": ({"auth": "instance_principal", "region": REGION}, "oci_compartment is not set"),
    "no OCID": ({"compartment": "root"}, "gateway_oci_compartment is 'root'; it looks like"),
    "other auth": ({"auth": "session"}, "it is api_key or instance_principal"),
    "an endpoint that others can read": ({"endpoint": "http://10.0.0.1"}, "no address for pictures"),
    "no file": ({"config_file": "/nowhere/config"}, "there is no /nowhere/config"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong)
def test_wrong_wishes(wrong: str) -> None:
    wishes, said = WRONG[wrong]
    with pytest.raises(OciTrouble, match=said):
        make_ready(Wishes(**wishes), Region())


def test_what_the_region_says_is_refused(api_key: ApiKey, tmp_path: Path) -> None:
    wishes = Wishes(config_file=str(api_key.write_config(tmp_path / "oci")))
    with pytest.raises(OciTrouble, match=r"does not offer it; name another; -e gateway_oci_check=false"):
        make_ready(wishes, Region(problem="it does not offer it", remedy="name another"))

    def silent(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(
            words, 1, "", "ask-oci: the service is away\n    look at the line\n"
        )

    with pytest.raises(OciTrouble, match=r"could not be asked .*: the service is away look at the line"):
        make_ready(wishes, silent)


def test_an_encrypted_key_is_refused(api_key: ApiKey, tmp_path: Path) -> None:
    config = api_key.write_config(tmp_path / "oci", pass_phrase="quince-41")
    with pytest.raises(OciTrouble, match="is encrypted, and LiteLLM opens none") as told:
        make_ready(Wishes(config_file=str(config)), Region())
    assert "quince" not in str(told.value)
