"""The state of a deployed host. Each docstring's first line is what the report says about the check."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from packaging.utils import canonicalize_name
from testinfra.host import Host

from sightline.deployment import Deployment
from sightline.layout import SERVERS
from sightline.prove.lockfile import drift, pins
from tests.testinfra.facts import listening_addresses
from tests.testinfra.on_host import INSTALLED, STATUS_OF

OWN_PACKAGES = frozenset({"sightline-serve"})
TORCHS_OWN = "torch's own"
"""What the stamp says of a library that an adopted torch brings within itself (sightline_host/adopted.py)."""


def test_service_is_running(host: Host, deployment: Deployment) -> None:
    """The service is running"""
    service = deployment.service
    if deployment.init == "systemd":
        state = host.run("systemctl is-active %s", service.name).stdout.strip()
        assert state == "active", f"systemd says {state or 'nothing'} about {service.name}"
    else:
        state = _supervisorctl(host, deployment, "status", service.name)
        assert state.split()[1:2] == ["RUNNING"], f"supervisord says: {state}"


def test_service_starts_by_itself(host: Host, deployment: Deployment) -> None:
    """The service starts again by itself after a crash or a reboot"""
    service = deployment.service
    if deployment.init == "systemd":
        enabled = host.run("systemctl is-enabled %s", service.name).stdout.strip()
        assert enabled == "enabled", (
            f"systemd says {enabled or 'nothing'}: {service.name} does not start at boot"
        )
        restart = host.run("systemctl show -p Restart --value %s", service.name).stdout.strip()
        assert restart in ("always", "on-failure"), f"the unit has Restart={restart}"
    else:
        assert service.supervisor_conf, "the deployment record names no supervisor configuration"
        text = host.file(service.supervisor_conf).content_string
        section = text.partition(f"[program:{service.name}]")[2].partition("\n[")[0]
        settings = dict(line.replace(" ", "").split("=", 1) for line in section.splitlines() if "=" in line)
        assert settings.get("autostart", "true") == "true", f"{service.supervisor_conf} says autostart=false"
        restart = settings.get("autorestart", "unexpected")
        assert restart in ("true", "unexpected"), f"{service.supervisor_conf} says autorestart={restart}"
        if service.start_at_boot:
            assert started_at_boot(host, deployment.root), (
                f"nothing starts supervisord after a restart: {deployment.root}/supervisor/start is in no "
                "place that is run then"
            )


def test_process_runs_as_the_right_user(host: Host, deployment: Deployment) -> None:
    """The process runs as the user it was deployed for"""
    pid = service_pid(host, deployment)
    owner = host.run("stat -c %%U /proc/%s", pid).stdout.strip()
    assert owner == deployment.service.user, (
        f"process {pid} runs as {owner}, not as {deployment.service.user}"
    )


def test_port_listens_where_it_should(host: Host, deployment: Deployment) -> None:
    """The port is open on the recorded address and on no other"""
    service = deployment.service
    tables = host.run("cat /proc/net/tcp /proc/net/tcp6").stdout
    found = listening_addresses(tables, service.port)
    assert found, f"nothing listens on port {service.port}"
    others = sorted(found - {service.bind})
    assert found == {service.bind}, (
        f"port {service.port} is open on {', '.join(others)}, not only {service.bind}"
    )


def test_environment_matches_its_lock(host: Host, deployment: Deployment) -> None:
    """The Python environment holds exactly what its lock files say"""
    environment = deployment.environment
    asked = host.run("%s -I -c %s", f"{environment.path}/bin/python", INSTALLED)
    assert asked.rc == 0, f"{environment.path}/bin/python does not run: {asked.stderr.strip()[-200:]}"
    found = json.loads(asked.stdout)
    pinned = pins([Path(path) for path in environment.lock_files], found["markers"])
    assert pinned, f"the lock files pin nothing: {', '.join(environment.lock_files)}"
    outside = frozenset(canonicalize_name(name) for name in found["outside"])
    if environment.adopted is None:
        assert not outside, f"it also sees packages of another Python: {', '.join(sorted(outside)[:8])}"
    else:
        # Libraries that the other Python's torch was built with are no packages; its check is the next one.
        for name in (name for name, said in found["brought"].items() if said == TORCHS_OWN):
            pinned.pop(name, None)
    difference = drift(pinned, found["installed"], OWN_PACKAGES | outside)
    assert not difference, str(difference)


def test_key_on_the_host_is_private(host: Host, deployment: Deployment) -> None:
    """The API key on the host can be read by its owner only"""
    key = host.file(deployment.api_key_path)
    assert key.exists, f"{deployment.api_key_path} is missing"
    assert key.mode & 0o077 == 0, f"{deployment.api_key_path} has mode {key.mode:04o}: others can get at it"
    allowed = {deployment.service.user, "root"}
    assert key.user in allowed, (
        f"{deployment.api_key_path} belongs to {key.user}, not to {deployment.service.user}"
    )


def test_key_on_the_controller_is_private(deployment: Deployment) -> None:
    """The API key on this machine can be read by its owner only"""
    path = Path(deployment.api_key_file)
    assert path.is_file(), f"{path} is missing"
    mode = stat.S_IMODE(os.stat(path).st_mode)
    assert mode & 0o077 == 0, f"{path} has mode {mode:04o}: others can get at it"


def test_configuration_is_protected(host: Host, deployment: Deployment) -> None:
    """Nobody but its owner can change the service's configuration"""
    service = deployment.service
    path = service.unit if deployment.init == "systemd" else service.supervisor_conf
    assert path, "the deployment record names no configuration of the service"
    found = host.file(path)
    assert found.exists, f"{path} is missing"
    assert found.mode & 0o022 == 0, f"{path} has mode {found.mode:04o}: others can change it"


def test_model_is_readable(host: Host, deployment: Deployment) -> None:
    """The service's user can read every file of the model"""
    folder = host.file(deployment.model_dir)
    assert folder.is_directory, f"{deployment.model_dir} is missing"
    files = host.run("find -L %s -type f", deployment.model_dir).stdout.split("\n")
    assert any(files), f"{deployment.model_dir} holds no file"
    unreadable = r"find -L %s \( -type f ! -readable -o -type d ! -executable \) -print"
    asking = host.check_output("id -un")
    user = deployment.service.user
    # find goes back to where it started, which for root is a folder that the user may not enter.
    prefix = "" if asking == user else f"cd / && runuser -u {user} -- " if asking == "root" else None
    assert prefix is not None, f"{asking} can't find out what {user} can read; connect as root or as {user}"
    found = host.run(prefix + unreadable, deployment.model_dir)
    assert found.rc == 0, f"{user} can't enter {deployment.model_dir}: {found.stderr.strip()[-200:]}"
    assert not found.stdout.strip(), f"{user} can't read {found.stdout.split()[0]}"


def test_alive(host: Host, deployment: Deployment) -> None:
    """The server says that it is alive"""
    path = SERVERS[deployment.engine].alive
    status = _status(host, deployment, path)
    assert status == "200", f"{path} gives {status}"


def test_ready(host: Host, deployment: Deployment) -> None:
    """The server says that it is ready"""
    path = SERVERS[deployment.engine].ready
    status = _status(host, deployment, path)
    assert status == "200", f"{path} gives {status}"


def test_no_entry_without_the_key(host: Host, deployment: Deployment) -> None:
    """The model can't be used without the key, or with a wrong one"""
    for what, key in (("no key", ""), ("a wrong key", "wrong")):
        status = _status(host, deployment, "/v1/models", key)
        assert status in ("401", "403"), f"with {what} /v1/models gives {status} instead of 401"


def test_entry_with_the_key(host: Host, deployment: Deployment) -> None:
    """The key on the host opens the model"""
    status = _status(host, deployment, "/v1/models", deployment.api_key_path)
    assert status == "200", f"with the key in {deployment.api_key_path} /v1/models gives {status}"


def started_at_boot(host: Host, root: str) -> bool:
    """Whether a place that is run at a start (sightline_host/boot.py) calls the deployment's start script."""
    start = f"{root}/supervisor/start"
    places = "cat /root/onstart.sh /post_start.sh ~/.ssh/rc 2>/dev/null; crontab -l 2>/dev/null"
    return bool(host.run("test -x %s", start).rc == 0 and start in host.run(places).stdout)


def _supervisorctl(host: Host, deployment: Deployment, *arguments: str) -> str:
    prefix = deployment.service.supervisorctl or ()
    command = [*prefix, *arguments]
    done = host.run(" ".join(["%s"] * len(command)), *command)
    said = done.stdout.strip() or done.stderr.strip() or "nothing"
    return str(said.splitlines()[-1])


def service_pid(host: Host, deployment: Deployment) -> str:
    """The process that systemd or supervisord keeps running."""
    name = deployment.service.name
    if deployment.init == "systemd":
        pid = host.run("systemctl show -p MainPID --value %s", name).stdout.strip()
    else:
        pid = _supervisorctl(host, deployment, "pid", name)
    assert pid.strip("0").isdigit(), f"{name} has no process: {pid}"
    return str(pid)


def _status(host: Host, deployment: Deployment, path: str, key: str = "") -> str:
    service = deployment.service
    address = (
        "127.0.0.1"
        if service.bind == "0.0.0.0"
        else f"[{service.bind}]"
        if ":" in service.bind
        else service.bind
    )
    python = f"{deployment.environment.path}/bin/python"
    scheme, _, rest = deployment.base_url.partition("://")
    url, name = (
        f"{scheme}://{address}:{service.port}{path}",
        rest.partition("/")[0] if scheme == "https" else "",
    )
    asked = host.run("%s -I -c %s %s %s %s", python, STATUS_OF, url, key, name)
    return asked.stdout.strip() or f"no answer ({asked.stderr.strip()[-120:]})"
