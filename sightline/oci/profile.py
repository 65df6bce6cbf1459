"""Read one profile of ~/.oci/config and check it before anything is signed with it.

The file's form: https://docs.oracle.com/en-us/iaas/Content/API/Concepts/sdkconfig.htm. Oracle's SDK reads it
too, but takes a key that others can read, and one that is not the fingerprint's: the service then says 401.
"""

from __future__ import annotations

import configparser
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sightline.oci.errors import OciTrouble

CONFIG = Path("~/.oci/config")
DEFAULT = "DEFAULT"

_FORMS = {
    "user": (re.compile(r"ocid1\.user\.[\w.-]+"), "ocid1.user.oc1..aaaa..."),
    "tenancy": (re.compile(r"ocid1\.tenancy\.[\w.-]+"), "ocid1.tenancy.oc1..aaaa..."),
    "fingerprint": (re.compile(r"([0-9a-fA-F]{2}:){15}[0-9a-fA-F]{2}"), "12:34:56:78:..., 16 pairs"),
    "region": (re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]"), "us-chicago-1"),
    "key_file": (re.compile(r".+"), "~/.oci/key.pem"),
}
_OTHERS_MAY = 0o077


@dataclass(frozen=True)
class Profile:
    """A user's API key and where it is used. `key_file` is an absolute path."""

    name: str
    user: str
    tenancy: str
    fingerprint: str
    region: str
    key_file: Path
    passphrase: str | None = field(default=None, repr=False)


def read_profile(config: Path = CONFIG, name: str = DEFAULT, region: str = "") -> Profile:
    """Return the profile `name`, its key checked; `region` takes the place of the profile's own.

    Raises:
        OciTrouble: there is no such file or profile, a value is missing or malformed, or the key's file
            cannot be used: missing, readable by others, no RSA private key, of another fingerprint.
    """
    values = _values(config.expanduser(), name)
    if region:
        values["region"] = region
    if values.get("security_token_file"):
        raise OciTrouble(
            f"profile {name} of {config} is a session ('oci session authenticate') and ends within the hour",
            "name a profile with an API key, or use the instance principal",
        )
    for key, (form, example) in _FORMS.items():
        if not values.get(key):
            raise OciTrouble(f"profile {name} of {config} has no {key}", f"add {key}={example}")
        if not form.fullmatch(values[key]):
            raise OciTrouble(
                f"{key} in profile {name} of {config} is {values[key]!r}", f"it looks like {example}"
            )
    passphrase = values.get("pass_phrase") or None
    key_file = Path(values["key_file"]).expanduser().absolute()
    found = _fingerprint(_private_key(key_file, passphrase))
    if found != values["fingerprint"].lower():
        raise OciTrouble(
            f"the fingerprint of {key_file} is {found}, and profile {name} says {values['fingerprint']}",
            "correct the one that is wrong; the console lists the fingerprints of your API keys",
        )
    return Profile(name, values["user"], values["tenancy"], found, values["region"], key_file, passphrase)


def _values(config: Path, name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with config.open(encoding="utf-8") as lines:
            parser.read_file(lines)
    except FileNotFoundError:
        raise OciTrouble(
            f"there is no {config}",
            "make it ('oci setup config' does, or docs/oci.md), name another one, or use the instance "
            "principal on an OCI instance",
        ) from None
    except (OSError, UnicodeDecodeError, configparser.Error) as problem:
        said = " ".join(str(problem).split())
        raise OciTrouble(f"{config} cannot be read: {said}", "correct it, or name another one") from None
    known = [*parser.sections(), *([DEFAULT] if parser.defaults() else [])]
    if name not in known:
        raise OciTrouble(
            f"{config} has no profile {name}",
            f"name one that it has: {', '.join(sorted(known)) or 'none'}",
        )
    return {key: value.strip() for key, value in parser[name].items()}


def _private_key(file: Path, passphrase: str | None) -> RSAPrivateKey:
    try:
        content, mode = file.read_bytes(), file.stat().st_mode
    except OSError as problem:
        raise OciTrouble(
            f"the key {file} cannot be read: {problem.strerror}", "correct key_file, or put the key there"
        ) from None
    if mode & _OTHERS_MAY:
        raise OciTrouble(f"others may read the key {file} (mode {mode & 0o777:03o})", f"chmod 600 {file}")
    wrong = OciTrouble(
        f"{file} holds no RSA private key in PEM form that can be opened",
        "name the private half of the API key in key_file, and its passphrase, if it has one, in pass_phrase",
    )
    try:
        key = serialization.load_pem_private_key(content, passphrase.encode() if passphrase else None)
    except TypeError as problem:
        if not passphrase:
            raise OciTrouble(
                f"the key {file} is encrypted and the profile has no pass_phrase", "add pass_phrase=..."
            ) from None
        raise wrong from problem
    except ValueError as problem:
        raise wrong from problem
    if not isinstance(key, RSAPrivateKey):
        raise wrong
    return key


def _fingerprint(key: RSAPrivateKey) -> str:
    """MD5 over the DER public key, as OCI names API keys."""
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.md5(public, usedforsecurity=False).digest().hex(":")
