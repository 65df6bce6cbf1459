"""A unit of systemd: written, started, changed, refused and removed, against a stand-in of systemctl."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sightline_host.service_state import read_service
from sightline_host.systemd_unit import Unit, UnitProblem

# Keeps what a real one keeps: which units are enabled, which run, and since which text of their file.
SYSTEMCTL = """\
#!/bin/sh
state={state}
echo "$*" >> "$state/asked"
unit=$(for word; do :; done; echo "$word")
case $1 in
  is-enabled) [ -e "$state/enabled-$unit" ] && echo enabled || {{ echo disabled; exit 1; }} ;;
  show)
    [ "$*" = "show -p ActiveState -p NeedDaemonReload -p MainPID $unit" ] || exit 1
    [ -e "$state/active-$unit" ] && echo ActiveState=active || echo ActiveState=inactive
    cmp -s "{units}/$unit" "$state/$unit" && echo NeedDaemonReload=no || echo NeedDaemonReload=yes
    echo "MainPID=$(cat "$state/active-$unit" 2>/dev/null || echo 0)" ;;
  daemon-reload) cp {units}/*.service "$state/" 2>/dev/null || true ;;
  enable) touch "$state/enabled-$unit" ;;
  restart)
    cmp -s "{units}/$unit" "$state/$unit" || {{ echo "Warning: $unit changed on disk" >&2; exit 1; }}
    grep -q broken "$state/$unit" && {{ echo "Unit $unit has a bad unit file setting." >&2; exit 1; }}
    sleep 30 >/dev/null 2>&1 &
    echo $! > "$state/active-$unit" ;;
  disable) [ "$2" = --now ] && rm -f "$state/enabled-$unit" "$state/active-$unit" ;;
  reset-failed) ;;
  *) echo "Unknown command verb $1." >&2; exit 1 ;;
esac
"""


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    programs, state, units = (tmp_path / name for name in ("programs", "state", "units"))
    for folder in (programs, state, units):
        folder.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL.format(state=state, units=units))
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return Unit("demo", units)


def test_it_is_written_enabled_and_started_once(unit: Unit) -> None:
    assert unit.present("one\n", dry=True) == ["wrote demo.service", "enabled", "started"]
    assert list(unit.folder.iterdir()) == []
    assert unit.present("one\n") == ["wrote demo.service", "enabled", "started"]
    assert unit.file.stat().st_mode & 0o777 == 0o644
    assert unit.present("one\n") == []
    assert unit.present("one\n", dry=True) == []


def test_another_definition_restarts_it(unit: Unit) -> None:
    unit.present("one\n")
    assert unit.present("two\n", dry=True) == ["wrote demo.service", "restarted"]
    assert unit.file.read_text() == "one\n"
    assert unit.present("two\n") == ["wrote demo.service", "restarted"]


def test_what_somebody_stopped_or_disabled_is_put_right(unit: Unit, tmp_path: Path) -> None:
    unit.present("one\n")
    (tmp_path / "state/active-demo.service").unlink()
    assert unit.present("one\n") == ["started"]
    (tmp_path / "state/enabled-demo.service").unlink()
    assert unit.present("one\n") == ["enabled"]


def test_what_systemd_says_against_it_is_told(unit: Unit) -> None:
    with pytest.raises(UnitProblem, match=r"restart demo\.service failed: Unit demo\.service has a bad"):
        unit.present("broken\n")
    assert unit.present("whole\n") == ["wrote demo.service", "started"], "and the next run goes on"


def test_what_a_run_left_that_was_cut_off_before_systemd_knew_is_made_good(unit: Unit) -> None:
    unit.present("one\n")
    unit.file.write_text("two\n")
    os.utime(unit.file, (0, 0))
    assert read_service("demo", "/nowhere", unit.folder)["state"] == "outdated"
    assert unit.present("two\n") == ["restarted"]
    os.utime(unit.file, (0, 0))
    assert read_service("demo", "/nowhere", unit.folder)["state"] == "running"


def test_what_runs_since_before_its_file_was_written_is_started_anew(unit: Unit) -> None:
    unit.present("one\n")
    os.utime(unit.file, (0, 0))
    assert unit.state() == "running"
    later = time.time() + 10
    os.utime(unit.file, (later, later))
    assert unit.state() == "outdated"
    assert unit.present("one\n", dry=True) == ["restarted"]


def test_it_goes(unit: Unit, tmp_path: Path) -> None:
    unit.present("one\n")
    assert unit.absent(dry=True) == ["removed demo.service"]
    assert unit.file.exists()
    assert unit.absent() == ["removed demo.service"]
    assert not unit.file.exists()
    assert not (tmp_path / "state/active-demo.service").exists()
    assert unit.absent() == []
