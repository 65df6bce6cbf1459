"""Who may ask the stand-in of OCI: a user's API key, and an instance whose certificates lead to tokens.

The instance's part is what the metadata service gives out (a leaf certificate with its key, and the one that
signed it) and what the federation endpoint makes of it: a token for the session key that was sent along, and
`ST$<token>` is the keyId of later requests.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509.oid import NameOID

from .oci_signatures import Refused, unauthenticated

TENANCY = "ocid1.tenancy.oc1..standintenancy"
USER = "ocid1.user.oc1..standinuser"
COMPARTMENT = "ocid1.compartment.oc1..standincompartment"
REGION = "us-chicago-1"
INTERMEDIATE = "PKISVC Identity Intermediate"


def new_key() -> RSAPrivateKey:
    """A fresh RSA key of the size that OCI asks for."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem_of(key: RSAPrivateKey, passphrase: str = "") -> bytes:
    """The key as a PEM file holds it, encrypted with `passphrase` if there is one."""
    how: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def fingerprint_of(key: RSAPublicKey) -> str:
    """MD5 of the DER public key as pairs of hex digits, which names an API key."""
    raw = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.MD5())
    digest.update(raw)
    return ":".join(f"{byte:02x}" for byte in digest.finalize())


@dataclass
class ApiKey:
    """A user's key, as uploaded to the console."""

    private: RSAPrivateKey = field(default_factory=new_key)

    @property
    def fingerprint(self) -> str:
        """Names the key."""
        return fingerprint_of(self.private.public_key())

    @property
    def key_id(self) -> str:
        """As requests name the key."""
        return f"{TENANCY}/{USER}/{self.fingerprint}"

    def write_config(self, folder: Path, profile: str = "DEFAULT", **changed: str) -> Path:
        """Write `folder`/config and the key's file as `oci setup config` does; returns the config's path."""
        folder.mkdir(mode=0o700, exist_ok=True)
        key_file, config = folder / "key.pem", folder / "config"
        key_file.write_bytes(pem_of(self.private, changed.get("pass_phrase", "")))
        key_file.chmod(0o600)
        values = {
            "user": USER,
            "fingerprint": self.fingerprint,
            "tenancy": TENANCY,
            "region": REGION,
            "key_file": str(key_file),
        } | changed
        lines = [f"{name}={value}" for name, value in values.items() if value]
        config.write_text("\n".join([f"[{profile}]", *lines, ""]))
        config.chmod(0o600)
        return config


@dataclass
class Instance:
    """A compute instance of a dynamic group, and the federation endpoint's memory of its tokens.

    `token_seconds`: how long a token holds.
    """

    token_seconds: float = 3600
    tokens: dict[str, tuple[RSAPublicKey, float]] = field(default_factory=dict)
    exchanges: int = 0

    @cached_property
    def _root(self) -> tuple[RSAPrivateKey, x509.Certificate]:
        key = new_key()
        return key, _certificate(INTERMEDIATE, key.public_key(), key, "stand-in root")

    @cached_property
    def leaf_key(self) -> RSAPrivateKey:
        """The key that belongs to the leaf certificate."""
        return new_key()

    @cached_property
    def leaf(self) -> x509.Certificate:
        """The certificate that says which tenancy's instance this is."""
        subject = f"opc-tenant:{TENANCY}"
        return _certificate(subject, self.leaf_key.public_key(), self._root[0], INTERMEDIATE)

    def metadata(self, path: str) -> str:
        """What http://169.254.169.254/opc/v2/`path` says. Raises Refused (404)."""
        pem = serialization.Encoding.PEM
        known = {
            "instance/region": lambda: REGION,
            "identity/cert.pem": lambda: self.leaf.public_bytes(pem).decode(),
            "identity/key.pem": lambda: pem_of(self.leaf_key).decode(),
            "identity/intermediate.pem": lambda: self._root[1].public_bytes(pem).decode(),
        }
        if path not in known:
            raise Refused(404, "NotFound", f"no metadata {path}")
        return known[path]()

    def leaf_public_key(self, key_id: str) -> RSAPublicKey | None:
        """The key that a request for a token must be signed with."""
        fingerprint = ":".join(f"{byte:02X}" for byte in self.leaf.fingerprint(hashes.SHA1()))
        return self.leaf_key.public_key() if key_id == f"{TENANCY}/fed-x509/{fingerprint}" else None

    def exchange(self, body: dict[str, Any], now: float) -> str:
        """A token for the session key in `body`. Raises Refused (401) for a foreign certificate."""
        sent = x509.load_der_x509_certificate(base64.b64decode(body["certificate"]))
        chain = [
            x509.load_der_x509_certificate(base64.b64decode(c)) for c in body["intermediateCertificates"]
        ]
        try:
            issuer = chain[0].public_key()
            assert isinstance(issuer, RSAPublicKey)
            assert sent.signature_hash_algorithm is not None
            issuer.verify(
                sent.signature, sent.tbs_certificate_bytes, PKCS1v15(), sent.signature_hash_algorithm
            )
        except InvalidSignature:
            raise unauthenticated("the leaf certificate is not signed by the intermediate one") from None
        if sent != self.leaf or chain != [self._root[1]]:
            raise unauthenticated("the certificate is not one of this tenancy's instances")
        session = serialization.load_der_public_key(base64.b64decode(body["publicKey"]))
        assert isinstance(session, RSAPublicKey)
        self.exchanges += 1
        token = _jwt(
            {"sub": TENANCY, "iat": int(now), "exp": int(now + self.token_seconds), "n": self.exchanges}
        )
        self.tokens[token] = (session, now + self.token_seconds)
        return token

    def session_key(self, key_id: str, now: float) -> RSAPublicKey | None:
        """The key behind `ST$<token>`, None where the token is unknown or over."""
        session, until = self.tokens.get(key_id.removeprefix("ST$"), (None, 0.0))
        return session if now < until else None


def _jwt(claims: dict[str, Any]) -> str:
    parts = [json.dumps({"alg": "RS256"}), json.dumps(claims), "signature"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


def _certificate(subject: str, key: RSAPublicKey, signer: RSAPrivateKey, issuer: str) -> x509.Certificate:
    def name(text: str) -> x509.Name:
        attribute = NameOID.ORGANIZATIONAL_UNIT_NAME if text.startswith("opc-") else NameOID.COMMON_NAME
        return x509.Name([x509.NameAttribute(attribute, text, _validate=False)])

    today = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .sign(signer, hashes.SHA256())
    )
