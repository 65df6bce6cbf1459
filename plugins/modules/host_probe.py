"""Read a host in one round trip (see plugins/module_utils/sightline_host/)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_probe
short_description: Read what a host is and what Sightline installed there before
description:
  - Publishes the fact C(probe_host), which every later decision reads. Changes nothing.
options:
  root: {description: The folder that holds, or will hold, everything Sightline installs., type: path, required: true}
  port: {description: The TCP port the service will listen on., type: int, required: true}
  service: {description: The service's name., type: str, required: true}
  pythons: {description: Interpreters to look for, names or paths. Empty looks for the usual ones., type: list, elements: str, default: []}
  ready: {description: "Where a running service says that it is ready; empty does not ask.", type: str, default: ""}
  index: {description: Whether to ask the package index too (about a second)., type: bool, default: true}
author: Sightline
"""

EXAMPLES = r"""
- name: Read the host
  host_probe:
    root: /opt/sightline
    port: 8642
    service: sightline-vlm
"""

RETURN = r"""
ansible_facts:
  description: C(probe_host) with arch, kernel, distribution, init, surroundings, clock, cpu, memory, disks, user, uid, home, python, pci, gpus, driver, kernel_modules, packages, toolkit, torch, host_sets, interfaces, system_parts, root, port, boot, index, installed.
  type: dict
  returned: always
"""

import platform
import sys

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.boot import read_boot
from ansible.module_utils.sightline_host.gpu_host import read_gpu_host
from ansible.module_utils.sightline_host.hardware import read_hardware
from ansible.module_utils.sightline_host.host_sets import read_sets
from ansible.module_utils.sightline_host.interfaces import read_interfaces
from ansible.module_utils.sightline_host.network import free_port_near, read_index, read_port
from ansible.module_utils.sightline_host.readiness import is_ready
from ansible.module_utils.sightline_host.service_state import read_service
from ansible.module_utils.sightline_host.state import (
    default_candidates,
    makes_environments,
    prefixes_of,
    read_installed,
    read_pythons,
    read_root,
    read_user,
)
from ansible.module_utils.sightline_host.system_parts import read_system_parts


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "port": {"type": "int", "required": True},
            "service": {"type": "str", "required": True},
            "pythons": {"type": "list", "elements": "str", "default": []},
            "ready": {"type": "str", "default": ""},
            "index": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    root = wanted["root"]
    host = {**read_hardware(), **read_user()}
    candidates = wanted["pythons"] or default_candidates()
    pythons = read_pythons(candidates)
    host["python"] = pythons
    host.update(read_gpu_host(platform.release(), prefixes=prefixes_of(candidates, pythons)))
    for found in host["torch"]:
        found["venv"] = bool(found["python"]) and makes_environments(found["python"])
    host["host_sets"] = read_sets()
    host["interfaces"] = read_interfaces()
    host["system_parts"] = read_system_parts()
    host["root"] = read_root(root)
    host["port"] = read_port(wanted["port"], root)
    if host["port"]["state"] == "taken":
        host["port"]["next_free"] = free_port_near(wanted["port"])
    installed = read_installed(root)
    service = read_service(wanted["service"], root)
    # An earlier run may have been cut off while the model was loading.
    service["ready"] = service["state"] == "running" and (not wanted["ready"] or is_ready(wanted["ready"]))
    installed["service"] = service
    host["boot"] = read_boot(root)
    host["installed"] = installed
    if wanted["index"] and not installed["environments"]:
        host["index"] = read_index(sys.executable)
    else:
        host["index"] = {"reachable": None, "detail": "not asked: an environment is there already"}
    module.exit_json(changed=False, ansible_facts={"probe_host": host})


if __name__ == "__main__":
    main()
