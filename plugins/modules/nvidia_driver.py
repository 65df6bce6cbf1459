"""NVIDIA's driver from packages (see plugins/module_utils/sightline_host/driver_install.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nvidia_driver
short_description: Install NVIDIA's driver, build its kernel module, load it
description:
  - Tries kernel modules in order and keeps the first that DKMS builds; says why the others do not.
  - Loads the module where that needs no new start of the host, and starts its services.
options:
  fingerprint: {description: Of everything that decides what is installed; the probe tells it back., type: str, default: ""}
  source: {description: Where the packages come from., type: str, default: ""}
  flavours:
    description: Kernel modules to try, in order.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: open or proprietary., type: str, required: true}
      packages: {description: Packages that bring it., type: list, elements: str, required: true}
  packages: {description: The rest of the driver., type: list, elements: str, required: true}
  headers: {description: Packages with kernel headers; none takes those of the running kernel., type: list, elements: str, default: []}
  services: {description: Units to start where a card is., type: list, elements: str, default: []}
  least: {description: Package to the lowest version that will do., type: dict, default: {}}
  repositories: {description: Repositories to add; see the module host_set., type: list, elements: dict, default: []}
  components: {description: Further parts to ask of the distribution's own sources., type: list, elements: str, default: []}
  files: {description: "Files to write, path to text. Each has sightline in its name.", type: dict, default: {}}
  hold: {description: Beginnings of names; packages that came along and begin so are held., type: list, elements: str, default: []}
  leave_alone: {description: Beginnings of names that unattended-upgrades shall leave alone., type: list, elements: str, default: []}
  may_reboot: {description: Whether the host may be started anew; then a newer kernel may be installed., type: bool, default: false}
  installed: {description: Whether all of it is there already and only the start remains., type: bool, default: false}
  lock_seconds: {description: How long another program may keep apt locked., type: int, default: 900}
  progress_file: {description: Where to write a line for each step., type: path}
author: Sightline
"""

EXAMPLES = r"""
- name: Install the driver
  nvidia_driver:
    components: [contrib, non-free, non-free-firmware]
    flavours:
      - {name: open, packages: [nvidia-open-kernel-dkms]}
      - {name: proprietary, packages: [nvidia-kernel-dkms]}
    packages: [nvidia-smi, libcuda1, nvidia-persistenced]
    services: [nvidia-persistenced]
"""

RETURN = r"""
changes: {description: What was done., type: list, returned: always}
reboot: {description: "Why the host has to start anew, empty where it need not.", type: str, returned: always}
"""

import platform
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.alone import StillAtWork, alone
from ansible.module_utils.sightline_host.apt import AptProblem, Say
from ansible.module_utils.sightline_host.driver_install import (
    Flavour,
    install_driver,
    is_built,
    reboot_reason,
    start_driver,
)
from ansible.module_utils.sightline_host.host_sets import WORK, SetsProblem
from ansible.module_utils.sightline_host.package_set import PackageSet, wanted_set
from ansible.module_utils.sightline_host.progress import teller


def run(wanted: dict[str, Any], say: Say) -> dict[str, Any]:
    """Install what is not there yet, and start it unless the host has to start anew first."""
    kernel, root = platform.release(), Path("/")
    if wanted["installed"] and is_built(root, kernel):
        changes, reboot = [], reboot_reason(root, kernel, kernel)
    else:
        work = PackageSet(wanted_set({**wanted, "name": "driver"}), say, lock_seconds=wanted["lock_seconds"])
        flavours = [Flavour(one["name"], tuple(one["packages"])) for one in wanted["flavours"]]
        done = install_driver(
            work, flavours, wanted["packages"], wanted["headers"], kernel, wanted["may_reboot"]
        )
        changes, reboot = done.told, done.reboot
    if not reboot:
        changes += start_driver(wanted["services"], say)
    return {"changed": bool(changes), "changes": changes, "reboot": reboot}


def main() -> None:
    flavour = {
        "name": {"type": "str", "required": True},
        "packages": {"type": "list", "elements": "str", "required": True},
    }
    texts = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "fingerprint": {"type": "str", "default": ""},
            "source": {"type": "str", "default": ""},
            "flavours": {"type": "list", "elements": "dict", "required": True, "options": flavour},
            "packages": {"type": "list", "elements": "str", "required": True},
            "headers": texts,
            "services": texts,
            "least": {"type": "dict", "default": {}},
            "repositories": {"type": "list", "elements": "dict", "default": []},
            "components": texts,
            "files": {"type": "dict", "default": {}},
            "hold": texts,
            "leave_alone": texts,
            "may_reboot": {"type": "bool", "default": False},
            "installed": {"type": "bool", "default": False},
            "lock_seconds": {"type": "int", "default": 900},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if module.check_mode:
        module.exit_json(changed=not wanted["installed"], changes=["would install the driver"], reboot="")
    with teller(wanted["progress_file"]) as say:
        try:
            with alone(WORK, say):
                result = run(wanted, say)
        except (StillAtWork, AptProblem, SetsProblem, OSError, ValueError) as problem:
            module.fail_json(msg=str(problem))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
