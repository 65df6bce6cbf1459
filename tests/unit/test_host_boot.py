"""What starts supervisord after a restart, in the places that rented images and machines run."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from sightline_host import boot as boot_module
from sightline_host.boot import LOGIN_PREAMBLE, Boot, BootProblem, read_boot, start_script

ROOT = Path("/data disk/sightline")


class Machine:
    """A machine's files below a folder; `runs` are names of its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "root"
        (self.home / ".ssh").mkdir(parents=True)

    def runs(self, *names: str) -> None:
        for number, name in enumerate(names, start=1):
            (self.folder / f"proc/{number}").mkdir(parents=True, exist_ok=True)
            (self.folder / f"proc/{number}/comm").write_text(f"{name}\n")

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def boot(self, root: Path = ROOT, uid: int = 0) -> Boot:
        return Boot(root, self.home, uid, self.folder)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(boot_module, "_crontab", lambda: None)
    return Machine(tmp_path)


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for cron's own program, which takes and gives one file; its text lies in the returned file."""
    folder, table = tmp_path / "programs", tmp_path / "table"
    folder.mkdir()
    (folder / "crontab").write_text(
        "#!/bin/sh\n"
        f'table="{table}"\n'
        'case "$*" in\n'
        '  -l) [ -f "$table" ] && exec cat "$table"; echo "no crontab for me" >&2; exit 1 ;;\n'
        '  -r) exec rm "$table" ;;\n'
        '  -) exec cat > "$table" ;;\n'
        '  *) echo "usage error" >&2; exit 1 ;;\n'
        "esac\n"
    )
    (folder / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return table


def names(hooks: list[boot_module.Hook]) -> list[str]:
    return [hook.name for hook in hooks]


def test_an_images_own_script_comes_first(machine: Machine) -> None:
    machine.runs("sshd", "cron")
    assert names(machine.boot().wanted()) == ["login"]
    machine.write("start.sh", "execute_script /post_start.sh\n")
    assert names(machine.boot().wanted()) == ["post_start"]
    machine.write("root/onstart.sh", "env\n")
    assert names(machine.boot().wanted()) == ["onstart"]
    assert names(machine.boot(uid=1000).wanted()) == ["login"], "root's scripts are not for others to change"


def test_where_nothing_is_run_there_is_no_hook(machine: Machine) -> None:
    machine.runs("sleep")
    assert machine.boot().wanted() == []
    machine.runs("sshd")
    machine.write("etc/ssh/sshd_config.d/strict.conf", "X11Forwarding no\npermituserrc NO\n")
    assert machine.boot().wanted() == []


def test_cron_is_enough_with_systemd_and_not_without(tmp_path: Path, crontab: Path) -> None:
    machine = Machine(tmp_path)
    machine.runs("crond", "sshd")
    assert names(machine.boot().wanted()) == ["cron", "login"]
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert names(machine.boot().wanted()) == ["cron"]


def test_lines_come_first_in_a_persons_script_and_go_without_a_trace(machine: Machine) -> None:
    text = "#!/bin/bash\necho mine\nsleep infinity\n"
    script = machine.write("root/onstart.sh", text, 0o700)
    assert machine.boot().present(dry=True) == [f"starts by {script}"]
    assert script.read_text() == text
    assert machine.boot().present() == [f"starts by {script}"]
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    assert lines[2] == "'/data disk/sightline/supervisor/start' >/dev/null 2>&1 </dev/null &"
    assert lines[-2:] == ["echo mine", "sleep infinity"]
    assert stat.S_IMODE(script.stat().st_mode) == 0o700
    assert machine.boot().present() == []
    assert names(machine.boot().installed()) == ["onstart"]
    assert machine.boot().absent() == [f"no longer starts by {script}"]
    assert script.read_text() == text
    assert machine.boot().absent() == []


def test_two_roots_do_not_touch_each_others_lines(machine: Machine) -> None:
    script = machine.write("root/onstart.sh", "echo mine\n")
    one, other = machine.boot(Path("/srv/one")), machine.boot(Path("/srv/one/more"))
    one.present()
    other.present()
    one.absent()
    assert names(one.installed()) == []
    assert names(other.installed()) == ["onstart"]
    other.absent()
    assert script.read_text() == "echo mine\n"


def test_lines_of_an_earlier_version_are_replaced(machine: Machine) -> None:
    script = machine.write(
        "root/onstart.sh", f"# begin sightline {ROOT}\nold words\n# end sightline {ROOT}\nmine\n"
    )
    assert machine.boot().installed() == []
    machine.boot().present()
    assert "old words" not in script.read_text()
    assert script.read_text().count("# begin") == 1


def test_a_file_that_we_made_goes_again(machine: Machine) -> None:
    machine.write("start.sh", 'bash "/post_start.sh"\n')
    machine.boot().present()
    made = machine.folder / "post_start.sh"
    assert made.read_text().startswith("#!/bin/bash\n# begin sightline")
    machine.boot().absent()
    assert not made.exists()


def test_a_file_that_we_made_stays_with_what_others_wrote_into_it(machine: Machine) -> None:
    machine.write("start.sh", "bash /post_start.sh\n")
    machine.boot().present()
    made = machine.folder / "post_start.sh"
    made.write_text(made.read_text() + "theirs\n")
    machine.boot().absent()
    assert made.read_text().endswith("theirs\n")
    assert "supervisor/start" not in made.read_text()


def test_a_login_reads_what_sshd_hands_it_before_our_lines(machine: Machine) -> None:
    """sshd(8): the script must read the protocol and cookie from its input, and print nothing."""
    machine.runs("sshd")
    called = machine.folder / "called"
    root = machine.folder / "sightline"
    machine.boot(root).present()
    machine.write("sightline/supervisor/start", f"#!/bin/sh\necho started > {called}\n", 0o755)
    rc = machine.folder / "root/.ssh/rc"
    assert rc.read_text().startswith(LOGIN_PREAMBLE)
    ended = subprocess.run(
        ["sh", str(rc)], input="MIT-MAGIC-COOKIE-1 00\n", capture_output=True, text=True, env={"PATH": "/bin"}
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    # It goes on by itself, so that nobody's login waits for it.
    subprocess.run(["timeout", "10", "sh", "-c", f"until [ -s {called} ]; do sleep 0.05; done"], check=True)
    machine.boot(root).absent()
    assert not rc.exists()


def test_hooks_that_are_no_longer_wanted_go(machine: Machine) -> None:
    machine.runs("sshd")
    machine.boot().present()
    machine.write("root/onstart.sh", "mine\n")
    changes = machine.boot().present()
    assert len(changes) == 2
    assert names(machine.boot().installed()) == ["onstart"]
    assert not (machine.folder / "root/.ssh/rc").exists()


def test_cron_keeps_what_others_put_there(tmp_path: Path, crontab: Path) -> None:
    machine = Machine(tmp_path)
    machine.runs("cron")
    crontab.write_text("0 4 * * * theirs")
    root = Path("/srv/100%/sightline")
    assert machine.boot(root).present() == ["starts by the crontab"]
    start = r"/srv/100\%/sightline/supervisor/start"
    assert crontab.read_text().splitlines() == [
        "0 4 * * * theirs",
        f"@reboot {start} >/dev/null 2>&1 # sightline /srv/100\\%/sightline",
    ]
    assert machine.boot(root).present() == []
    machine.boot(root).absent()
    assert crontab.read_text() == "0 4 * * * theirs\n"


def test_an_empty_crontab_is_removed(tmp_path: Path, crontab: Path) -> None:
    machine = Machine(tmp_path)
    machine.runs("cron")
    machine.boot().present()
    assert crontab.exists()
    machine.boot().absent()
    assert not crontab.exists()


def test_a_place_that_cannot_be_written_is_named(machine: Machine) -> None:
    machine.write("start.sh", "bash /post_start.sh\n")
    (machine.folder / "post_start.sh.sightline").mkdir()
    with pytest.raises(BootProblem, match=r"post_start\.sh can't be written: Is a directory"):
        machine.boot().present()


def test_hooks_without_a_start_script_are_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "machine")
    root = tmp_path / "sightline"
    monkeypatch.setenv("HOME", str(machine.home))
    monkeypatch.setattr(boot_module, "_crontab", lambda: None)
    rc = machine.home / ".ssh/rc"
    rc.write_text(Boot(root, machine.home, 1)._lines(boot_module.Hook("login", rc)))
    assert read_boot(str(root))["installed"] == []
    (root / "supervisor").mkdir(parents=True)
    (root / "supervisor/start").write_text(start_script(root / "supervisor"))
    (root / "supervisor/start").chmod(0o755)
    assert read_boot(str(root))["installed"] == ["login"]
