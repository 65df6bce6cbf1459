"""The stand-in and the fetch beside what others made: the hub's own client library, and TLS."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json
import subprocess
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fetching import COMMIT, environment, fetch, holds, model, write_entry
from hub import Hub

LIST = """
import json, sys
from huggingface_hub import HfApi
for file in HfApi(endpoint=sys.argv[1]).list_repo_tree("owner/model", revision=sys.argv[2], recursive=True):
    if hasattr(file, "blob_id"):
        print(json.dumps([file.path, file.size, file.blob_id, file.lfs.sha256 if file.lfs else None]))
"""


def test_the_hubs_own_client_reads_the_stand_ins_listing(hub: Hub) -> None:
    """Both pages of it, and the hashes where the fetch looks for them."""
    told = subprocess.run(
        [sys.executable, "-c", LIST, hub.url, COMMIT],
        capture_output=True,
        text=True,
        env=environment(HF_HUB_OFFLINE="0", HF_HUB_DISABLE_TELEMETRY="1"),
    )
    assert told.returncode == 0, told.stderr
    listed = [json.loads(line) for line in told.stdout.splitlines()]
    large = {"model.bin", "second.bin"}
    assert {(path, size, sha256) for path, size, _, sha256 in listed} == {
        (path, len(data), hashlib.sha256(data).hexdigest() if path in large else None)
        for path, data in model().items()
    }
    # Git's own name of the empty file, known to everyone who uses git.
    assert ["empty", 0, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", None] in listed


ASK = """
import json, sys
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url, snapshot_download
endpoint, commit, folder = sys.argv[1:]
api = HfApi(endpoint=endpoint)
info = api.model_info("owner/model", revision="main")
(path,) = api.get_paths_info("owner/model", ["model.bin"], revision=commit)
head = get_hf_file_metadata(hf_hub_url("owner/model", "model.bin", revision=commit, endpoint=endpoint))
snapshot_download("owner/model", revision=commit, local_dir=folder, endpoint=endpoint)
print(json.dumps([info.sha, info.gated, path.size, path.lfs.sha256, head.commit_hash, head.etag, head.size]))
"""


def test_the_hubs_own_client_asks_the_stand_in_all_that_it_asks_the_hub(hub: Hub, tmp_path: Path) -> None:
    """Revision, paths-info, HEAD, and a whole download."""
    hub.info = {"gated": "auto"}
    told = subprocess.run(
        [sys.executable, "-c", ASK, hub.url, COMMIT, str(tmp_path / "got")],
        capture_output=True,
        text=True,
        env=environment(
            HF_HUB_OFFLINE="0", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_XET="1", HF_HOME=str(tmp_path)
        ),
    )
    assert told.returncode == 0, told.stderr
    data = model()["model.bin"]
    digest = hashlib.sha256(data).hexdigest()
    assert json.loads(told.stdout) == [COMMIT, "auto", len(data), digest, COMMIT, digest, len(data)]
    assert holds(tmp_path / "got", model())


def test_a_file_that_the_hub_would_send_by_xet_comes_as_any_other(hub: Hub, tmp_path: Path) -> None:
    hub.faults.xet = True
    entry = write_entry(tmp_path, model())
    ended = fetch("--entry", entry, "--source", hub.url, "--target", tmp_path / "model")
    assert ended.code == 0, ended.errors
    assert holds(tmp_path / "model", model())
    assert not any("xet" in request.path for request in hub.requests)


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


def test_tls_with_a_certificate_that_is_known_and_without(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    entry = write_entry(tmp_path, model())
    with Hub(model(), certificate=file) as hub:
        words = ("--entry", entry, "--source", hub.url, "--target", tmp_path / "model", "--tries", "1")
        unknown = fetch(*words)
        assert unknown.code == 1
        assert "CERTIFICATE_VERIFY_FAILED" in unknown.errors
        assert hub.requests == []
        known = fetch(*words, SSL_CERT_FILE=str(file))
        assert known.code == 0, known.errors
        assert holds(tmp_path / "model", model())


def test_no_redirect_from_https_to_http(hub: Hub, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with Hub(model(), certificate=file) as secure:
        secure.faults.redirect_to = hub.url
        words = (
            "--entry",
            write_entry(tmp_path, model()),
            "--source",
            secure.url,
            "--target",
            tmp_path / "m",
        )
        ended = fetch(*words, SSL_CERT_FILE=str(file))
    assert ended.code == 1
    assert "from https to http" in ended.errors
    assert hub.requests == []
