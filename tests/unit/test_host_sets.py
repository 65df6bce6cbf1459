"""Sets of packages: installed, mended, removed without a trace. Real apt and dpkg, on a root of their own."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sightline_host.apt import Apt, AptProblem
from sightline_host.apt_sources import Repository
from sightline_host.dependants import states
from sightline_host.host_sets import LEDGER, HostSet, SetsProblem, read_ledger, read_sets, write_ledger
from sightline_host.package_removal import remove_sets
from sightline_host.package_set import PackageSet, Wanted, version_numbers, wanted_set

from tests.stand_ins.apt_repository import AptRepository, Package, missing_programs
from tests.unit.apt_roots import AptRoot, make_root

USER_MAKING = (
    'cd "$DPKG_ROOT/etc"; grep -q stood passwd || echo "stood:x:900:900::/:/bin/false" >> passwd\n'
    "mkdir -p stood; echo made > stood/made.conf; ln -sf made.conf stood/link"
)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> AptRepository:
    """tool needs helper and lib; daemon's script changes /etc; thing of another owner needs lib."""
    if missing := missing_programs():
        pytest.skip(f"needs {', '.join(missing)}")
    made = AptRepository(tmp_path_factory.mktemp("stock") / "repository")
    made.add(
        Package("tool", "2.5.1-1", "helper (>= 1), lib", {"usr/bin/tool": "#!/bin/sh\necho tool\n"}),
        Package("helper", "1.0", "", {"etc/helper.conf": "setting\n"}),
        Package("lib", "3"),
        Package("daemon", "1", "", {}, {"postinst": USER_MAKING}),
        Package("broken", "1", "", {}, {"postinst": "echo it cannot be; exit 3"}),
        Package("thing", "1", "lib"),
        Package("rival", "1", fields={"Conflicts": "thing"}),
    )
    return made.publish()


@pytest.fixture
def repository(stock: AptRepository, tmp_path: Path) -> AptRepository:
    return stock.copy(tmp_path / "repository")


@pytest.fixture
def root(tmp_path: Path, repository: AptRepository, monkeypatch: pytest.MonkeyPatch) -> AptRoot:
    made = make_root(tmp_path / "root", monkeypatch)
    (made.path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    return made


@pytest.fixture
def wanted(repository: AptRepository) -> Wanted:
    source = Repository("stood", repository.uri, f"file://{repository.key}", repository.fingerprint, "./")
    return Wanted("tools", "f1", "stand-in", ("tool", "daemon"), (source,), hold=("tool",))


Set = Callable[[Wanted], PackageSet]


@pytest.fixture
def a_set(root: AptRoot, said: list[str]) -> Set:
    return lambda wanted: PackageSet(wanted, said.append, root.path, lock_seconds=0.5)


def installed(a_set: Set, wanted: Wanted) -> PackageSet:
    work = a_set(wanted)
    work.open()
    work.add(wanted.packages)
    work.close()
    return work


def test_it_comes_with_what_it_needs_and_goes_without_a_trace(
    root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]
) -> None:
    before = root.files()
    installed(a_set, wanted)

    assert set(states(root.status)) == {"tool", "helper", "lib", "daemon"}
    assert states(root.status)["tool"] == ("hold", "installed")
    assert states(root.status)["lib"] == ("install", "installed")
    assert '"^tool$";' in (root.path / "etc/apt/apt.conf.d/60sightline-tools").read_text()
    assert "stood" in (root.path / "etc/passwd").read_text()
    assert "installing: 50 %" in said
    assert read_sets(root.path) == {
        "tools": {"fingerprint": "f1", "source": "stand-in", "whole": True, "wrong": None, "notes": []}
    }
    assert (root.path / LEDGER).stat().st_mode & 0o777 == 0o600

    removed, left = remove_sets(None, said.append, root.path, 0.5)
    assert removed == ["tools: 4 packages, 2 files"]
    assert left == []
    assert states(root.status) == {}
    assert "config-files" not in root.status
    assert root.files() == before


def test_a_second_installation_asks_apt_for_nothing(root: AptRoot, wanted: Wanted, a_set: Set) -> None:
    installed(a_set, wanted)
    log = (root.path / "var/log/dpkg.log").read_text()
    installed(a_set, wanted)
    assert (root.path / "var/log/dpkg.log").read_text() == log
    assert remove_sets(None, lambda line: None, root.path, 0.5)[1] == []
    assert "stood" not in (root.path / "etc/passwd").read_text()
    assert not (root.path / "etc/stood").exists()


def test_what_was_there_before_stays(root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]) -> None:
    work = a_set(dataclasses.replace(wanted, name="owner"))
    work.open()
    work.add(["lib", "tool"])
    (root.path / LEDGER).unlink()  # as if the machine's owner had installed them
    work.apt.mark("auto", ["tool"])
    installed(a_set, wanted)
    assert states(root.status)["tool"][0] == "install", "what its owner installed is not held"

    remove_sets(None, said.append, root.path, 0.5)
    assert set(states(root.status)) == {"tool", "helper", "lib"}
    assert work.apt.marked("auto") >= {"tool"}


def test_what_others_came_to_need_stays(root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]) -> None:
    installed(a_set, wanted)
    Apt(said.append, root.path).install(["thing"], root.path / "var/cache/own")
    _, left = remove_sets(None, said.append, root.path, 0.5)
    assert left == ["package lib (other packages need it now)"]
    assert set(states(root.status)) == {"thing", "lib"}
    assert Apt(said.append, root.path).marked("auto") == {"lib"}


def test_two_sets_share_a_package_and_a_source(
    root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]
) -> None:
    before = root.files()
    installed(a_set, wanted)
    installed(a_set, dataclasses.replace(wanted, name="more", packages=("lib", "thing"), hold=()))

    _, left = remove_sets(["tools"], said.append, root.path, 0.5)
    assert left == ["package lib (another set needs it)"]
    assert set(states(root.status)) == {"lib", "thing"}
    assert (root.path / "etc/apt/sources.list.d/sightline-stood.sources").exists()
    remove_sets(None, said.append, root.path, 0.5)
    assert states(root.status) == {}
    assert root.files() == before


def test_lines_of_people_and_changed_files_stay(
    root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]
) -> None:
    with (root.path / "etc/passwd").open("a") as file:
        file.write("before:x:1000:1000::/home/before:/bin/sh\n")
    installed(a_set, wanted)
    with (root.path / "etc/passwd").open("a") as file:
        file.write("ann:x:1001:1001::/home/ann:/bin/sh\n")
    (root.path / "etc/stood/made.conf").write_text("made better\n")

    _, left = remove_sets(None, said.append, root.path, 0.5)
    people = [line.partition(":")[0] for line in (root.path / "etc/passwd").read_text().splitlines()]
    assert people == ["root", "before", "ann"]
    assert left == ["/etc/stood (changed since)", "/etc/stood/made.conf (changed since)"]


def test_an_account_of_a_person_is_never_taken_for_a_packages(
    root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]
) -> None:
    """Somebody makes an account between a run that was killed and the next."""
    work = a_set(wanted)
    work.open()
    with (root.path / "etc/passwd").open("a") as file:
        file.write("ann:x:1001:1001::/home/ann:/bin/sh\n")
    installed(a_set, wanted)
    remove_sets(None, said.append, root.path, 0.5)
    assert "ann" in (root.path / "etc/passwd").read_text()


def test_a_check_removes_nothing(root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]) -> None:
    installed(a_set, wanted)
    before = root.files(), root.status
    assert remove_sets(None, said.append, root.path, 0.5, dry=True)[0] == ["tools: 4 packages, 2 files"]
    assert (root.files(), root.status) == before


# --- interrupted ------------------------------------------------------------------------------------------


def test_a_failure_half_way_is_mended_by_the_next_run(
    root: AptRoot, wanted: Wanted, a_set: Set, said: list[str], repository: AptRepository
) -> None:
    work = a_set(wanted)
    work.open()
    with pytest.raises(AptProblem, match=r"broken's own set-up failed: .*it cannot be"):
        work.add(["tool", "broken"])
    assert read_sets(root.path)["tools"]["wrong"] == "its installation was not finished"  # type: ignore[index]
    assert states(root.status)["broken"][1] == "half-configured"

    repository.add(Package("broken", "2"))
    repository.publish()
    installed(a_set, dataclasses.replace(wanted, packages=("tool", "broken")))
    assert read_sets(root.path)["tools"]["whole"] is True  # type: ignore[index]
    remove_sets(None, said.append, root.path, 0.5)
    assert states(root.status) == {}


def test_a_failure_half_way_can_be_removed(
    root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]
) -> None:
    before = root.files()
    work = a_set(wanted)
    work.open()
    with pytest.raises(AptProblem):
        work.add(["tool", "broken", "daemon"])
    remove_sets(None, said.append, root.path, 0.5)
    assert states(root.status) == {}
    left = {path for path in root.files() if path not in before}
    assert left <= {"etc/stood", "etc/stood/made.conf", "etc/stood/link"}


def test_one_way_that_failed_is_dropped_for_another(
    root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]
) -> None:
    work = a_set(wanted)
    work.open()
    with pytest.raises(AptProblem):
        work.add(["broken"])
    work.drop(["broken"])
    work.add(["tool"])
    work.close(["broken is broken"])
    assert set(states(root.status)) == {"tool", "helper", "lib"}
    assert read_sets(root.path)["tools"]["notes"] == ["broken is broken"]  # type: ignore[index]


# --- what is seen of a set later --------------------------------------------------------------------------


def unhold(root: AptRoot) -> None:
    Apt(print, root.path).mark("unhold", ["tool"])


def take_away(root: AptRoot) -> None:
    Apt(print, root.path).purge(["daemon"])


def edit_file(root: AptRoot) -> None:
    (root.path / "etc/apt/apt.conf.d/60sightline-tools").write_text("")


@pytest.mark.parametrize(
    ("harm", "wrong"),
    [
        (unhold, "tool is not held any more"),
        (take_away, "daemon is not installed any more"),
        (edit_file, "/etc/apt/apt.conf.d/60sightline-tools was changed or is gone"),
    ],
)
def test_harm_done_since_is_seen_and_mended(
    root: AptRoot, wanted: Wanted, a_set: Set, harm: Callable[[AptRoot], None], wrong: str
) -> None:
    installed(a_set, wanted)
    harm(root)
    seen = read_sets(root.path)["tools"]
    assert isinstance(seen, dict)
    assert (seen["whole"], seen["wrong"]) == (False, wrong)
    installed(a_set, wanted)
    assert read_sets(root.path)["tools"]["whole"] is True  # type: ignore[index]


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / LEDGER).parent.mkdir(parents=True)
    for text in ("", "[]", '{"schema": 9, "sets": {}}', '{"schema": 1, "sets": {"a": 3}}'):
        (tmp_path / LEDGER).write_text(text)
        with pytest.raises(SetsProblem, match="put it back from a backup"):
            read_ledger(tmp_path)
        (told,) = read_sets(tmp_path).values()
        assert isinstance(told, dict)
        assert told["whole"] is False
    assert read_sets(tmp_path / "nowhere") == {}


def test_a_ledger_keeps_its_order_and_what_it_does_not_know_is_let_pass(tmp_path: Path) -> None:
    write_ledger(tmp_path, {"b": HostSet(packages=["x"]), "a": HostSet()})
    told = json.loads((tmp_path / LEDGER).read_text())
    told["sets"]["b"]["later"] = 1
    (tmp_path / LEDGER).write_text(json.dumps(told))
    assert list(read_ledger(tmp_path)) == ["b", "a"]
    assert read_ledger(tmp_path)["b"].packages == ["x"]
    write_ledger(tmp_path, {})
    assert not (tmp_path / LEDGER).parent.exists()


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.fixture
def lock_held(root: AptRoot) -> Iterator[str]:
    """dpkg's lock, held by another process."""
    hold = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    path = root.path / "var/lib/dpkg/lock-frontend"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        yield f"pid {holder.pid}"
        holder.stdin.close()


def test_a_lock_that_stays_is_told_with_its_holder(
    lock_held: str, wanted: Wanted, a_set: Set, said: list[str]
) -> None:
    with pytest.raises(AptProblem, match=r"has held the lock of apt for .*Wait until it has ended") as caught:
        a_set(wanted).open()
    assert lock_held in str(caught.value)
    assert any(lock_held in line and line.startswith("waiting for") for line in said)


def test_a_lock_that_goes_is_waited_for(root: AptRoot, wanted: Wanted, said: list[str]) -> None:
    """Who holds it lets go as soon as it is told that somebody waits."""
    path = root.path / "var/lib/dpkg/lock-frontend"
    told = root.path.parent / "told"
    hold = (
        "import fcntl, os, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nwhile not os.path.exists(sys.argv[2]): time.sleep(0.05)"
    )

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("waiting for"):
            told.touch()

    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path), str(told)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        Apt(say, root.path, lock_seconds=60).wait_until_free()
        assert holder.wait() == 0
    assert len([line for line in said if line.startswith("waiting for")]) == 1


def test_a_key_that_is_another_ones_is_refused(
    root: AptRoot, wanted: Wanted, a_set: Set, repository: AptRepository
) -> None:
    expected = repository.fingerprint
    repository.new_key()
    source = dataclasses.replace(wanted.repositories[0], key=f"file://{repository.key}")
    with pytest.raises(AptProblem, match=f"instead of {expected}: nothing was installed from it"):
        a_set(dataclasses.replace(wanted, repositories=(source,))).open()
    assert not (root.path / "etc/apt/sources.list.d/sightline-stood.sources").exists()


def test_lists_signed_by_another_key_are_refused(
    root: AptRoot, wanted: Wanted, a_set: Set, repository: AptRepository
) -> None:
    repository.new_key()
    repository.publish()
    with pytest.raises(AptProblem, match="not signed as they should be"):
        a_set(wanted).open()
    assert states(root.status) == {}


def test_a_repository_that_is_not_there(wanted: Wanted, a_set: Set, tmp_path: Path) -> None:
    nowhere = dataclasses.replace(wanted.repositories[0], uri=f"file:{tmp_path}/nowhere")
    with pytest.raises(AptProblem, match=r"nowhere.*then run this again"):
        a_set(dataclasses.replace(wanted, repositories=(nowhere,))).open()
    no_key = dataclasses.replace(wanted.repositories[0], key=f"file://{tmp_path}/nokey")
    with pytest.raises(AptProblem, match=r"the key of repository stood, .* cannot be fetched"):
        a_set(dataclasses.replace(wanted, repositories=(no_key,))).open()


def test_a_broken_source_of_the_hosts_own_is_passed_over(
    root: AptRoot, wanted: Wanted, a_set: Set, said: list[str], tmp_path: Path
) -> None:
    (root.path / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/gone ./\n")
    installed(a_set, wanted)
    assert any("gone" in line and "going on without it" in line for line in said)
    assert "tool" in states(root.status)


def test_packages_that_vanished_from_their_source(
    wanted: Wanted, a_set: Set, repository: AptRepository
) -> None:
    """The list names them, the files are gone: a mirror in the middle of being renewed."""
    work = a_set(wanted)
    work.open()
    for file in repository.folder.glob("pool/main/tool*.deb"):
        file.unlink()
    with pytest.raises(AptProblem, match=r"cannot be fetched .*then run this again"):
        work.add(["tool"])


def test_a_package_that_no_source_has(wanted: Wanted, a_set: Set) -> None:
    work = a_set(wanted)
    work.open()
    with pytest.raises(AptProblem, match="no source of packages has nvidia-smi"):
        work.add(["nvidia-smi"])
    with pytest.raises(AptProblem, match="no source of packages has tool in version 9"):
        work.add(["tool=9"])


def test_nothing_is_removed_for_it(root: AptRoot, wanted: Wanted, a_set: Set) -> None:
    installed(a_set, dataclasses.replace(wanted, packages=("thing",)))
    work = a_set(dataclasses.replace(wanted, name="more"))
    work.open()
    with pytest.raises(AptProblem, match="installing rival would remove thing"):
        work.add(["rival"])
    assert "thing" in states(root.status)


def test_a_version_below_the_least(wanted: Wanted, a_set: Set) -> None:
    with pytest.raises(AptProblem, match=r"tool is 2\.5\.1-1 in this host's .* and 2\.6 or newer"):
        a_set(dataclasses.replace(wanted, least={"tool": "2.6"})).open()
    a_set(dataclasses.replace(wanted, least={"tool": "2.5.1"})).open()
    with pytest.raises(AptProblem, match="no source of packages has other"):
        a_set(dataclasses.replace(wanted, least={"other": "1"})).open()


def test_a_disk_without_room_is_seen_before(
    root: AptRoot, wanted: Wanted, a_set: Set, repository: AptRepository
) -> None:
    repository.add(Package("huge", fields={"Installed-Size": str(10**10)}))
    repository.publish()
    work = a_set(wanted)
    work.open()
    with pytest.raises(AptProblem, match=r"GB are free on the disk of .*, and 1\d{4}\.\d GB are needed"):
        work.add(["huge"])
    assert states(root.status) == {}


def test_a_folder_for_the_loader_that_is_not_there_is_told(root: AptRoot, wanted: Wanted, a_set: Set) -> None:
    file = "etc/ld.so.conf.d/sightline-tools.conf"
    told = dataclasses.replace(wanted, files={file: "/opt/sightline-tools/lib\n"})
    with pytest.raises(
        AptProblem, match=f"/{file} sends the loader to /opt/sightline-tools/lib, which is not"
    ):
        installed(a_set, told)
    (root.path / "opt/sightline-tools/lib").mkdir(parents=True)
    installed(a_set, told)


def test_files_of_a_set_cannot_be_taken_for_somebody_elses(wanted: Wanted) -> None:
    for path in ("etc/profile.d/cuda.sh", "/etc/profile.d/sightline.sh", "etc/sightline/cuda"):
        with pytest.raises(ValueError, match="sightline in their names"):
            dataclasses.replace(wanted, files={path: ""})


def test_a_modules_options_become_a_set() -> None:
    repository = {"name": "n", "uri": "u", "key": "k", "fingerprint": "f", "suite": None, "components": None}
    told = {"name": "driver", "repositories": [repository], "packages": ["a"], "least": {"a": 5, "b": ""}}
    made = wanted_set({**told, "hold": None, "files": None, "unknown": 1})
    assert made.repositories == (Repository("n", "u", "k", "f", "/", ()),)
    assert (made.packages, made.hold, made.files, made.least) == (("a",), (), {}, {"a": "5"})
    with pytest.raises(ValueError, match="needs name, uri, key and fingerprint"):
        wanted_set({**told, "repositories": [{"name": "n", "uri": "u"}]})


def test_a_folder_of_the_set_goes_with_it(root: AptRoot, wanted: Wanted, a_set: Set, said: list[str]) -> None:
    work = a_set(dataclasses.replace(wanted, packages=()))
    work.open()
    with pytest.raises(ValueError, match="sightline in its name"):
        work.note_folder(Path("/usr/local/lib/cudnn"))
    work.note_folder(Path("/usr/local/lib/sightline-cudnn"))
    folder = root.path / "usr/local/lib/sightline-cudnn"
    (folder / "lib").mkdir(parents=True)
    work.close()
    assert read_sets(root.path)["tools"]["whole"] is True  # type: ignore[index]
    folder.rename(folder.with_name("elsewhere"))
    assert read_sets(root.path)["tools"]["wrong"] == "/usr/local/lib/sightline-cudnn is gone"  # type: ignore[index]
    folder.with_name("elsewhere").rename(folder)
    remove_sets(None, said.append, root.path, 0.5)
    assert not folder.exists()


def test_versions_are_numbers() -> None:
    assert version_numbers("1:550.163.01-2~deb13u1") == (550, 163, 1)
    assert version_numbers("550.54.14") < version_numbers("550.163.01-2") < version_numbers("570.1")
    assert version_numbers("unknown") == ()


def test_who_may_not_lock_is_no_reason_to_wait(root: AptRoot, said: list[str]) -> None:
    with open(root.path / "var/lib/dpkg/lock-frontend", "w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        # One's own lock is no other program's.
        Apt(said.append, root.path, lock_seconds=0.5).wait_until_free()
    assert said == []
    assert os.path.exists(root.path / "var/lib/dpkg/lock-frontend")
