"""What starts supervisord when the machine or container starts anew and PID 1 is not systemd.

No one place does that everywhere: rented images run a script of the person's (vast.ai /root/onstart.sh,
RunPod /post_start.sh), a machine of one's own has cron, and of a bare sshd one only knows that somebody logs
in. A hook is a few marked lines in such a place; they call `<root>/supervisor/start`, which does nothing
where supervisord runs already.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

LOGIN_PREAMBLE = """\
#!/bin/sh
# Made by Sightline. Where this file exists sshd runs neither /etc/ssh/sshrc nor xauth, so both are here.
if [ -f /etc/ssh/sshrc ]; then
  . /etc/ssh/sshrc
elif read -r protocol cookie && [ -n "$DISPLAY" ]; then
  echo "add $DISPLAY $protocol $cookie" | xauth -q - >/dev/null 2>&1
fi
"""
SHELL_PREAMBLE = "#!/bin/bash\n# Made by Sightline.\n"


class BootProblem(Exception):
    """A hook could not be written; the message says where."""


@dataclass(frozen=True)
class Hook:
    """A place that is run at a start. `file`: a shell script; None: the user's crontab."""

    name: str
    file: Path | None = None
    preamble: str = SHELL_PREAMBLE


def start_script(folder: Path) -> str:
    """The script that starts the supervisord of `folder`, once, whoever calls it and how often."""
    here = shlex.quote(str(folder))
    # supervisord returns before it has written its number: who waits for the lock must find it.
    once = (
        'runs() { pid=$(cat supervisord.pid 2>/dev/null) && grep -qs supervisord "/proc/$pid/cmdline"; }; '
        "runs && exit 0; env/bin/supervisord -c supervisord.conf || exit; "
        "for _ in $(seq 100); do runs && exit 0; sleep 0.1; done; exit 1"
    )
    return (
        "#!/bin/sh\n# Written by Sightline (role service): starts supervisord unless it runs.\n"
        f"cd {here} || exit 1\n"
        # -o: supervisord must not inherit the lock, or nobody would ever get it again.
        f"exec flock -o start.lock setsid sh -c {shlex.quote(once)}\n"
    )


class Boot:
    """The hooks of one root folder. `machine` is / but for tests; `home` is the home of whom it runs as."""

    def __init__(self, root: Path, home: Path, uid: int, machine: Path = Path("/")) -> None:
        self.root, self.home, self.uid, self.machine = root, home, uid, machine
        self.start = root / "supervisor/start"
        self._onstart = Hook("onstart", machine / "root/onstart.sh")
        self._post_start = Hook("post_start", machine / "post_start.sh")
        self._cron = Hook("cron")
        self._login = Hook("login", home / ".ssh/rc", LOGIN_PREAMBLE)

    def wanted(self) -> list[Hook]:
        """The places that this machine runs: its image's script, else cron and, without systemd, a login."""
        if self.uid == 0 and self._onstart.file and self._onstart.file.is_file():
            return [self._onstart]
        if self.uid == 0 and "/post_start.sh" in _text(self.machine / "start.sh"):
            return [self._post_start]
        found = []
        running = self._running()
        if running & {"cron", "crond"} and _crontab() is not None:
            found.append(self._cron)
        # cron in a container may have been started by hand; there a login is the second way.
        if "systemd" not in running and "sshd" in running and self._login_is_run():
            found.append(self._login)
        return found

    def installed(self) -> list[Hook]:
        """The places that hold this root's lines as they are written today."""
        return [hook for hook in self._all() if self._lines(hook) in self._read(hook)]

    def present(self, dry: bool = False) -> list[str]:
        """Have the lines in the wanted places and in no other. Returns what changed. Raises BootProblem."""
        wanted, changes = self.wanted(), []
        for hook in self._all():
            before = self._read(hook)
            after = self._with(hook, before) if hook in wanted else self._without(hook, before)
            if after != before:
                changes.append(f"{'starts' if hook in wanted else 'no longer starts'} by {_place(hook)}")
                if not dry:
                    self._write(hook, after)
        return changes

    def absent(self, dry: bool = False) -> list[str]:
        """Take the lines out of wherever they are; a file that held nothing else goes. Raises BootProblem."""
        changes = []
        for hook in self._all():
            before = self._read(hook)
            after = self._without(hook, before)
            if after != before:
                changes.append(f"no longer starts by {_place(hook)}")
                if not dry:
                    self._write(hook, after)
        return changes

    def _all(self) -> list[Hook]:
        mine = [self._onstart, self._post_start] if self.uid == 0 else []
        return [*mine, self._cron, self._login]

    def _running(self) -> set[str]:
        """Names of the processes of this machine; "systemd" only where it is PID 1."""
        names = {_text(file).strip() for file in self.machine.glob("proc/[0-9]*/comm")} - {"systemd"}
        return names | ({"systemd"} if (self.machine / "run/systemd/system").is_dir() else set())

    def _login_is_run(self) -> bool:
        configuration = [self.machine / "etc/ssh/sshd_config"]
        configuration += sorted(self.machine.glob("etc/ssh/sshd_config.d/*.conf"))
        forbidden = re.compile(r"^\s*PermitUserRC\s+no\b", flags=re.IGNORECASE | re.MULTILINE)
        return (self.home / ".ssh").is_dir() and not any(forbidden.search(_text(f)) for f in configuration)

    def _lines(self, hook: Hook) -> str:
        start = shlex.quote(str(self.start))
        if hook.file is None:
            # % ends a command in a crontab.
            return f"@reboot {start} >/dev/null 2>&1 # sightline {self.root}\n".replace("%", "\\%")
        mark = f"sightline {self.root}"
        return f"# begin {mark}\n{start} >/dev/null 2>&1 </dev/null &\n# end {mark}\n"

    def _with(self, hook: Hook, before: str) -> str:
        if self._lines(hook) in before:
            return before
        bare = self._without(hook, before) or (hook.preamble if hook.file else "")
        if hook.file is None or hook is self._login:
            # What a login's script reads from its input comes first.
            return bare + ("" if not bare or bare.endswith("\n") else "\n") + self._lines(hook)
        # First of all, as a person's script may end in something that never returns.
        head, newline, rest = bare.partition("\n") if bare.startswith("#!") else ("", "", bare)
        return f"{head}{newline}{self._lines(hook)}{rest}"

    def _without(self, hook: Hook, before: str) -> str:
        mark = re.escape(f"sightline {self.root}")
        if hook.file is None:
            mark = mark.replace("%", r"\\%")
            return re.sub(rf"^@reboot .* # {mark}\n?", "", before, flags=re.MULTILINE)
        after = re.sub(rf"^# begin {mark}\n(?:.*\n)*?# end {mark}\n", "", before, flags=re.MULTILINE)
        return "" if after == hook.preamble else after

    def _read(self, hook: Hook) -> str:
        return _text(hook.file) if hook.file else (_crontab() or "")

    def _write(self, hook: Hook, text: str) -> None:
        """Raises BootProblem."""
        if hook.file is None:
            command = ["crontab", "-"] if text else ["crontab", "-r"]
            ended = subprocess.run(command, input=text, capture_output=True, text=True)
            if ended.returncode != 0:
                raise BootProblem(f"crontab does not take the line: {ended.stderr.strip()[:300]}")
            return
        file = hook.file.resolve()
        try:
            if not text:
                file.unlink(missing_ok=True)
                return
            mode = file.stat().st_mode & 0o7777 if file.exists() else 0o755
            beside = file.with_name(f"{file.name}.sightline")
            beside.write_text(text)
            beside.chmod(mode)
            beside.replace(file)
        except OSError as problem:
            raise BootProblem(f"{hook.file} can't be written: {problem.strerror}") from None


def read_boot(root: str) -> dict[str, list[str]]:
    """Names of hooks: {"possible": those this machine runs, "installed": those with our lines}."""
    boot = Boot(Path(root), Path.home(), os.getuid())
    whole = os.access(boot.start, os.X_OK)
    return {
        "possible": [hook.name for hook in boot.wanted()],
        "installed": [hook.name for hook in boot.installed()] if whole else [],
    }


def _place(hook: Hook) -> str:
    return str(hook.file) if hook.file else "the crontab"


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _crontab() -> str | None:
    """The user's crontab, "" if it is empty; None where there is none to have."""
    if shutil.which("crontab") is None:
        return None
    asked = subprocess.run(["crontab", "-l"], capture_output=True, text=True, errors="surrogateescape")
    if asked.returncode == 0:
        return asked.stdout
    return "" if "no crontab for" in asked.stderr else None
