"""What apt says, in words; sources that are added beside the host's own; keys told apart by fingerprint."""

from __future__ import annotations

from pathlib import Path

import pytest
from sightline_host.apt import Apt, AptProblem
from sightline_host.apt_sources import further_components, uris
from sightline_host.apt_words import Changes, explained, failed_sources, simulated, sizes
from sightline_host.dependants import states, still_needed
from sightline_host.openpgp import KeyProblem, armoured, expect, primary_fingerprints

from tests.stand_ins.apt_repository import AptRepository, Package, missing_programs
from tests.unit.apt_roots import AptRoot, make_root

# --- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (unattended-upgr)",
            "two programs cannot install",
        ),
        ("E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend)", "two programs"),
        ("dpkg: error: cannot copy: failed to write (No space left on device)", "the disk is full while x"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "the disk is full"),
        ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", "dpkg --configure -a"),
        ("E: Unable to locate package cuda-toolkit-12-4", "no source of packages has cuda-toolkit-12-4"),
        ("E: Package 'nvidia-smi' has no installation candidate", "no source of packages has nvidia-smi"),
        ("E: Version '1' for 'libcuda1' was not found", "no source of packages has libcuda1 in version 1"),
        (
            "E: Failed to fetch http://m.example/p.deb  404  Not Found [IP: 10.0.0.1 80]",
            "http://m.example/p.deb cannot be fetched (404  Not Found",
        ),
        (
            "W: GPG error: http://m.example ./ InRelease: no public key: NO_PUBKEY 1\nE: The repository "
            "'http://m.example ./ InRelease' is not signed.",
            "not signed as they should be",
        ),
        ("E: Packages need to be removed but remove is disabled.", "other packages would have to go for it"),
        (
            "The following packages have unmet dependencies:\n a : Depends: b (>= 2) but 1 is to be "
            "installed\nE: Unable to correct problems, you have held broken packages.",
            "a : Depends: b (>= 2)",
        ),
        (
            "make failed\ndpkg: error processing package d (--configure):\n installed d package "
            "post-installation script subprocess returned error exit status 10",
            "d's own set-up failed: make failed",
        ),
        ("E: Something new", "x failed: E: Something new"),
        ("", "x failed: no output"),
    ],
)
def test_each_way_to_fail_is_told_with_what_to_do(output: str, said: str) -> None:
    assert said in explained("x", output)


def test_what_apt_would_do_is_read() -> None:
    output = (
        "Reading package lists...\nInst libc6 [2.36-9] (2.36-10 Debian:12.5/stable [amd64]) []\n"
        "Inst nvidia-smi (550.163.01-2 Debian:13/stable [amd64])\nRemv thing [1]\nPurg other [2]\n"
        "Conf libc6 (2.36-10 Debian [amd64])\n"
    )
    assert simulated(output) == Changes(
        {"nvidia-smi": "550.163.01-2"}, {"libc6": "2.36-10"}, ["thing", "other"]
    )


@pytest.mark.parametrize(
    ("fetch", "after", "expected"),
    [
        ("1,951 MB/2.2 GB", "5,277 MB of additional disk space will be used", (2_200_000_000, 5_277_000_000)),
        ("283 MB", "655 MB of additional disk space will be used", (283_000_000, 655_000_000)),
        ("0 B", "12.3 kB disk space will be freed", (0, 0)),
    ],
)
def test_sizes_are_bytes(fetch: str, after: str, expected: tuple[int, int]) -> None:
    assert sizes(f"Need to get {fetch} of archives.\nAfter this operation, {after}.\n") == expected


def test_sources_that_fail_are_told_apart() -> None:
    output = (
        "Err:3 http://a.example ./ InRelease\n"
        "W: Failed to fetch http://a.example/./InRelease  Could not connect to a.example:80\n"
        "W: OpenPGP signature verification failed: http://b.example ./ InRelease: Sub-process failed\n"
        "E: The repository 'http://c.example ./ Release' does not have a Release file.\n"
        "W: Some index files failed to download.\n"
    )
    assert set(failed_sources(output)) == {
        "http://a.example/./InRelease",
        "http://b.example",
        "http://c.example",
    }


# --- what others need -------------------------------------------------------------------------------------


def status(**packages: str) -> str:
    return "\n\n".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: 1\n{fields}"
        for name, fields in packages.items()
    )


def test_a_chain_of_needs_is_kept() -> None:
    told = status(mine="Depends: b (>= 1)", b="Depends: c | d", c="Description: x\n Depends: nothing", e="")
    assert still_needed({"b", "c", "e"}, told) == {"b", "c"}
    assert still_needed({"mine", "b", "c", "e"}, told) == set()
    assert still_needed({"mine", "b", "c", "e"}, told, ["b"]) == {"b", "c"}


def test_an_alternative_that_stays_is_enough() -> None:
    told = status(mine="Depends: ours | theirs", ours="", theirs="")
    assert still_needed({"ours"}, told) == set()
    assert still_needed({"ours", "theirs"}, told) == {"ours"}


def test_a_provided_name_is_a_need_too() -> None:
    told = status(
        mine="Pre-Depends: libcuda.so.1 (= 5)", libcuda1="Provides: libcuda.so.1 (= 5), libcuda-12.4-1"
    )
    assert still_needed({"libcuda1"}, told) == {"libcuda1"}


def test_what_is_only_settings_is_not_there() -> None:
    told = status(a="Depends: b", b="").replace("install ok installed", "deinstall ok config-files", 1)
    assert set(states(told)) == {"b"}
    assert still_needed({"b"}, told) == set()


# --- further parts of the host's own sources --------------------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path) -> AptRepository:
    """A distribution's archive with the parts main, contrib and non-free."""
    if missing := missing_programs():
        pytest.skip(f"needs {', '.join(missing)}")
    made = AptRepository(tmp_path / "archive", "stood", "Debian")
    made.add(Package("plain"))
    made.add(Package("nvidia-smi", "550.163.01-2"), component="non-free")
    made.add(Package("nvidia-open-kernel-dkms", "550.163.01-2"), component="contrib")
    return made.publish()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AptRoot:
    return make_root(tmp_path / "root", monkeypatch)


def apt_of(root: AptRoot) -> Apt:
    apt = Apt(print, root.path, 0.5)
    apt.update([])
    return apt


def put(root: AptRoot, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root.path / name).write_bytes(content)


def test_a_line_is_repeated_with_other_parts(root: AptRoot, archive: AptRepository) -> None:
    root.trust(archive, f"{archive.uri} stood main  # ours")
    own = (root.path / "etc/apt/sources.list").read_text()
    apt = apt_of(root)
    files = further_components(apt, ["contrib", "non-free"], "driver")

    (text,) = files.values()
    assert f"deb [signed-by={archive.key}] {archive.uri} stood contrib non-free\n" in text.decode()
    assert uris(files) == [archive.uri]
    put(root, files)
    apt.update([archive.uri])
    assert apt.candidate("nvidia-smi") == "550.163.01-2"
    assert apt.candidate("nvidia-open-kernel-dkms") == "550.163.01-2"
    assert (root.path / "etc/apt/sources.list").read_text() == own
    assert further_components(apt, ["contrib", "non-free"], "driver") == {}, "they are there now"


def test_a_part_that_a_source_lacks_is_asked_for_once(root: AptRoot, archive: AptRepository) -> None:
    """Debian's updates have an empty contrib; the second set must not take it for one never asked for."""
    root.trust(archive, f"{archive.uri} stood main")
    apt = apt_of(root)
    put(root, further_components(apt, ["non-free", "never-there"], "driver"))
    apt.update([archive.uri])
    assert further_components(apt, ["non-free", "never-there"], "cuda") == {}
    (name,) = further_components(apt, ["contrib"], "cuda")
    assert name == "etc/apt/sources.list.d/sightline-cuda-components.list", "each set has its own"


def test_a_stanza_is_repeated_with_other_parts(root: AptRoot, archive: AptRepository, tmp_path: Path) -> None:
    key = "".join(f" {line or '.'}\n" for line in archive.key.read_text().splitlines())
    (root.path / "etc/apt/sources.list.d/own.sources").write_text(
        f"# a note\nTypes: deb\nURIs: file:{tmp_path}/gone\nSuites: ./\nTrusted: yes\n\n\n"
        f"Types: deb deb-src\nURIs: {archive.uri}/\n# another\nSuites: stood\nComponents: main contrib\n"
        f"Signed-By:\n{key}"
    )
    apt = apt_of(root)
    files = further_components(apt, ["contrib", "non-free"], "driver")
    (text,) = files.values()
    assert b"Components: non-free\n" in text
    assert b"gone" not in text
    put(root, files)
    apt.update([archive.uri])
    assert apt.candidate("nvidia-smi") == "550.163.01-2"


def test_other_peoples_sources_are_not_asked_for_more(root: AptRoot, tmp_path: Path) -> None:
    other = AptRepository(tmp_path / "other", "stood", "Somebody")
    other.add(Package("plain"))
    other.publish()
    root.trust(other, f"{other.uri} stood main")
    with pytest.raises(AptProblem, match="none of the host's package sources is Debian or Ubuntu's own"):
        further_components(apt_of(root), ["non-free"], "driver")


# --- keys -------------------------------------------------------------------------------------------------


def test_a_key_has_the_fingerprint_that_gpg_gives_it(archive: AptRepository) -> None:
    text = archive.key.read_bytes()
    assert primary_fingerprints(text) == [archive.fingerprint]
    plain = text.replace(b"BLOCK-----\n", b"BLOCK-----\nVersion: 1\nComment: hello\n", 1).replace(
        b"\n", b"\r\n"
    )
    assert primary_fingerprints(plain) == [archive.fingerprint]
    again = armoured(plain)
    assert "Comment" not in again
    assert primary_fingerprints(again.encode()) == [archive.fingerprint]
    expect(text, " ".join(archive.fingerprint[start : start + 4] for start in range(0, 40, 4)).lower())


def test_what_is_no_key_or_another_is_refused(archive: AptRepository) -> None:
    key = archive.key.read_bytes()
    other = archive.new_key().read_bytes()
    with pytest.raises(KeyProblem, match="instead of"):
        expect(other, primary_fingerprints(key)[0])
    with pytest.raises(KeyProblem, match=r"\w{40} and \w{40} instead of"):
        expect(key + other, primary_fingerprints(key)[0])
    for wrong in (b"", b"<html>404</html>", b"\x99\x01\x0d\x04", key[:80], b"\xc6\xe0", b"\xc6\x01\x03"):
        with pytest.raises(KeyProblem):
            expect(wrong, "A" * 40)


def test_a_long_key_in_the_older_packet_format() -> None:
    """Keys such as RSA's have bodies of more than 255 bytes, so two bytes of length."""
    body = b"\x04" + bytes(range(256)) + b"\x01" * 12
    packet = b"\x99" + len(body).to_bytes(2, "big") + body
    newer = b"\xc6\xff" + len(body).to_bytes(4, "big") + body
    middle = b"\xc6" + bytes([192 + ((len(body) - 192) >> 8), (len(body) - 192) & 255]) + body
    assert primary_fingerprints(packet) == primary_fingerprints(newer) == primary_fingerprints(middle)
