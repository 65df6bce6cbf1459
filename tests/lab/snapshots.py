"""What is on a host, to compare before an installation and after its removal."""

from __future__ import annotations

from tests.lab.host import Host

# Caches and copies that programs keep of the files beside them, and what the host is told at each start.
_NOT_KEPT = (
    "/etc/passwd-|/etc/group-|/etc/shadow-|/etc/gshadow-|/etc/subuid-|/etc/subgid-|/etc/.pwd.lock|"
    "/etc/ld.so.cache|/etc/mtab|/etc/machine-id"
)
_ASK = {
    "packages": "dpkg-query -W -f '${Package} ${Version} ${db:Status-Want} ${db:Status-Status}\\n'",
    "marked as wanted": "apt-mark showmanual | sort",
    "rights in /etc": f"find /etc -printf '%p %y %m %u %g %l\\n' | grep -vE '^({_NOT_KEPT}) ' | sort",
    "files in /etc": f"find /etc -type f | grep -vE '^({_NOT_KEPT})$' | sort | xargs sha256sum",
    "people": "getent passwd; getent group",
}
_PLACES = "/usr /lib /boot /opt /srv /var/lib"
_RECORDS = "/var/lib/(apt|dpkg|systemd|ucf|pam|dhcp|logrotate|private|python)|__pycache__"


def of_system(host: Host) -> dict[str, list[str]]:
    """Packages, marks, /etc and accounts, line by line."""
    return {what: host.says(command).splitlines() for what, command in _ASK.items()}


def of_files(host: Host) -> set[str]:
    """Paths in the folders where packages put files, less apt's and dpkg's own records."""
    told = host.says(f"find {_PLACES} -xdev | grep -vE '{_RECORDS}' | sort")
    return set(told.splitlines())


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """Lines that came ("+") and went ("-"), by what they are about."""
    found = {}
    for what, lines in before.items():
        came, went = set(after[what]) - set(lines), set(lines) - set(after[what])
        if came or went:
            found[what] = [*(f"+ {line}" for line in sorted(came)), *(f"- {line}" for line in sorted(went))]
    return found
