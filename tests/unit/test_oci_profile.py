"""~/.oci/config is read and checked: each thing that can be wrong is told, and no key is shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sightline.oci.errors import OciTrouble
from sightline.oci.profile import read_profile
from tests.stand_ins.oci_identity import REGION, TENANCY, USER, ApiKey, new_key, pem_of


@pytest.fixture(scope="module")
def api_key() -> ApiKey:
    """One key for all."""
    return ApiKey()


def test_a_profile_is_read(api_key: ApiKey, tmp_path: Path) -> None:
    profile = read_profile(api_key.write_config(tmp_path / "oci"))
    assert (profile.user, profile.tenancy, profile.region) == (USER, TENANCY, REGION)
    assert profile.key_file == tmp_path / "oci/key.pem"
    assert read_profile(tmp_path / "oci/config", region="uk-london-1").region == "uk-london-1"


def test_the_fingerprint_is_openssl_s(api_key: ApiKey, tmp_path: Path) -> None:
    """As https://docs.oracle.com/en-us/iaas/Content/API/Concepts/apisigningkey.htm computes it."""
    profile = read_profile(api_key.write_config(tmp_path / "oci"))
    der = subprocess.run(
        ["openssl", "rsa", "-pubout", "-outform", "DER", "-in", str(profile.key_file)],
        capture_output=True,
        check=True,
    ).stdout
    said = subprocess.run(["openssl", "md5", "-c"], input=der, capture_output=True, check=True).stdout
    assert profile.fingerprint in said.decode()


def test_defaults_hold_for_other_profiles(api_key: ApiKey, tmp_path: Path) -> None:
    config = api_key.write_config(tmp_path / "oci")
    config.write_text(config.read_text() + "[LONDON]\nregion=uk-london-1\n")
    assert read_profile(config, "LONDON").region == "uk-london-1"
    assert read_profile(config, "LONDON").user == USER


def test_a_passphrase_is_used_and_not_shown(api_key: ApiKey, tmp_path: Path) -> None:
    profile = read_profile(api_key.write_config(tmp_path / "oci", pass_phrase="quince-41"))
    assert profile.passphrase == "quince-41"
    assert "quince" not in repr(profile)


WRONG = {
    "user": ({"user": ""}, "has no user", "ocid1.user"),
    "tenancy": ({"tenancy": "acme"}, "tenancy in profile DEFAULT", "ocid1.tenancy"),
    "region": ({"region": "Chicago!"}, "'Chicago!'", "us-chicago-1"),
    "fingerprint": ({"fingerprint": "12:34"}, "'12:34'", "16 pairs"),
    "another key's fingerprint": ({"fingerprint": ":".join(["ab"] * 16)}, "DEFAULT says ab:ab", "console"),
    "no key file": ({"key_file": "/nowhere/key.pem"}, "cannot be read: No such file", "key_file"),
    "a session": ({"security_token_file": "/x"}, "is a session", "API key"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong)
def test_what_is_wrong_is_told(api_key: ApiKey, tmp_path: Path, wrong: str) -> None:
    changed, what, remedy = WRONG[wrong]
    config = api_key.write_config(tmp_path / "oci", **changed)
    with pytest.raises(OciTrouble) as told:
        read_profile(config)
    assert what in told.value.what
    assert remedy in told.value.remedy


def test_no_file_and_no_profile(api_key: ApiKey, tmp_path: Path) -> None:
    with pytest.raises(OciTrouble, match=r"there is no .*; make it"):
        read_profile(tmp_path / "config")
    config = api_key.write_config(tmp_path / "oci", profile="ADMIN")
    with pytest.raises(OciTrouble, match="has no profile DEFAULT; name one that it has: ADMIN"):
        read_profile(config)
    config.write_text("user=x\n")
    with pytest.raises(OciTrouble, match=r"cannot be read: .*no section headers"):
        read_profile(config)


def test_a_key_that_others_can_read_is_refused(api_key: ApiKey, tmp_path: Path) -> None:
    config = api_key.write_config(tmp_path / "oci")
    (tmp_path / "oci/key.pem").chmod(0o644)
    with pytest.raises(OciTrouble, match=r"others may read the key .* \(mode 644\); chmod 600"):
        read_profile(config)


def test_keys_that_cannot_be_opened(api_key: ApiKey, tmp_path: Path) -> None:
    config, key_file = api_key.write_config(tmp_path / "oci"), tmp_path / "oci/key.pem"
    key_file.write_bytes(pem_of(new_key(), "secret"))
    with pytest.raises(OciTrouble, match="encrypted and the profile has no pass_phrase"):
        read_profile(config)
    key_file.write_text("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n")
    with pytest.raises(OciTrouble, match="no RSA private key"):
        read_profile(config)
    config = api_key.write_config(tmp_path / "oci", pass_phrase="right")
    config.write_text(config.read_text().replace("right", "wrong"))
    with pytest.raises(OciTrouble, match="no RSA private key") as told:
        read_profile(config)
    assert "wrong" not in told.value.what
