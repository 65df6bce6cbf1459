"""What apt-get says, read: what it would do, which sources fail, and its errors in words for people."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LOCKED = re.compile(r"Could not get lock|Unable to acquire the dpkg frontend lock|Unable to lock directory")


@dataclass(frozen=True)
class Changes:
    """What an installation or removal would do: packages with their versions."""

    install: dict[str, str] = field(default_factory=dict)
    upgrade: dict[str, str] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)


def is_locked(output: str) -> bool:
    """Whether another program was at work."""
    return bool(_LOCKED.search(output))


def sizes(output: str) -> tuple[int, int]:
    """Bytes to fetch, and bytes more on the disk in the end, of apt-get install --print-uris."""
    fetch = re.search(r"Need to get ([\d.,]+) ([kMGT]?B)(?:/([\d.,]+) ([kMGT]?B))?", output)
    after = re.search(r"After this operation, ([\d.,]+) ([kMGT]?B) of additional", output)
    return (
        _bytes(fetch[3] or fetch[1], fetch[4] or fetch[2]) if fetch else 0,
        _bytes(after[1], after[2]) if after else 0,
    )


def simulated(output: str) -> Changes:
    """Of `apt-get -s`: lines such as "Inst NAME [OLD] (NEW ...)", "Remv NAME [OLD]" and "Purg NAME [OLD]"."""
    install: dict[str, str] = {}
    upgrade: dict[str, str] = {}
    remove = []
    for line in output.splitlines():
        if found := re.match(r"Inst (\S+)(?: \[([^\]]*)\])? \((\S+)", line):
            (upgrade if found[2] else install)[found[1]] = found[3]
        elif found := re.match(r"(?:Remv|Purg) (\S+)", line):
            remove.append(found[1])
    return Changes(install, upgrade, remove)


def failed_sources(output: str) -> dict[str, str]:
    """Addresses that `apt-get update` could not use, with what it says of each."""
    found: dict[str, str] = {}
    patterns = (
        r"^[WE]: Failed to fetch (\S+)\s+(.*)$",
        r"^[WE]: (?:GPG error|OpenPGP signature verification failed): (\S+?) .*?: (.*)$",
        r"^[WE]: The repository '(\S+) [^']*' (.*)$",
        r"^[WE]: An error occurred during the signature verification.*: (\S+) .*?: (.*)$",
    )
    for pattern in patterns:
        for match in re.finditer(pattern, output, re.MULTILINE):
            found.setdefault(match[1], match[2].strip())
    return found


def told_source(uri: str, why: str) -> str:
    """What to say of a source that failed."""
    if re.search(r"sign|NO_PUBKEY|GPG|OpenPGP|Policy", why):
        return (
            f"the package lists of {uri} are not signed as they should be ({why}): "
            "they are not used. Check the repository's address and key, or take another source"
        )
    return (
        f"{uri} cannot be fetched ({why}): check the address, the network and apt's proxy, "
        "then run this again"
    )


def explained(doing: str, output: str) -> str:
    """Say in words why apt-get failed: what, why, and what to do."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "dpkg: error", "W: Failed"))] or lines[-3:]
    if is_locked(output):
        return told_lock(None, None)
    if "No space left on device" in output or "You don't have enough free space" in output:
        return f"the disk is full while {doing}: free some space and run this again, it goes on from there"
    if "dpkg was interrupted" in output:
        return (
            f"{doing}: an earlier installation by somebody else was interrupted. "
            "Finish it (dpkg --configure -a), then run this again"
        )
    if found := re.search(r"Unable to locate package (\S+)", output):
        return f"no source of packages has {found[1]}: take another source, or look at apt-cache policy"
    if found := re.search(r"Version '(\S+)' for '(\S+)' was not found", output):
        return f"no source of packages has {found[2]} in version {found[1]}: take another source or version"
    if found := re.search(r"Package '?([\w.+-]+)'? has no installation candidate", output):
        return f"no source of packages has {found[1]}: take another source, or look at apt-cache policy"
    for uri, why in failed_sources(output).items():
        return told_source(uri, why)
    if "Packages need to be removed but remove is disabled" in output:
        return (
            f"{doing}: other packages would have to go for it, and none is ever removed. "
            "See which by apt-get -s install; remove them yourself if they may go"
        )
    if "unmet dependencies" in output or "held broken packages" in output:
        wanted = [line for line in lines if "Depends:" in line or "Conflicts:" in line or "Breaks:" in line]
        return (
            f"{doing}: packages don't fit together ({'; '.join((wanted or errors)[:4])}). "
            "Often another source mixes in newer ones, or packages are held (apt-mark showhold)"
        )
    if found := re.search(r"installed (\S+) package \S+ script subprocess returned error", output):
        return f"{doing}: {found[1]}'s own set-up failed: {' / '.join(_around(lines, found[0]))}"
    return f"{doing} failed: {' / '.join(errors[-3:]) or 'no output'}"


def _around(lines: list[str], said: str) -> list[str]:
    place = next((number for number, line in enumerate(lines) if said in line), len(lines))
    return lines[max(0, place - 4) : place + 1]


def told_lock(holder: object, seconds: float | None) -> str:
    waited = f" for {seconds:.0f} s" if seconds is not None else ""
    return (
        f"{holder or 'another program'} has held the lock of apt{waited}: two programs cannot install "
        "packages at once. Wait until it has ended, or end it if it hangs, then run this again"
    )


def _bytes(number: str, unit: str) -> int:
    return int(float(number.replace(",", "")) * 1000 ** ("B", "kB", "MB", "GB", "TB").index(unit))


def stanzas(output: str) -> list[dict[str, str]]:
    """Blocks of "Name: value" lines, parted by empty lines."""
    return [
        {name: value.strip() for name, _, value in (line.partition(":") for line in block.splitlines())}
        for block in output.strip().split("\n\n")
        if block.strip()
    ]
