"""Keep a program running under supervisord (see plugins/module_utils/sightline_host/supervisor.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_program
short_description: A program kept running by a supervisord of its own root folder
options:
  name: {description: The program's name., type: str, required: true}
  root: {description: The root folder; supervisord lives in its folder supervisor/., type: path, required: true}
  definition: {description: "The program's section of supervisord's configuration.", type: str}
  start_at_boot:
    description: Whether supervisord starts with the machine or container, as far as anything there does (see sightline_host/boot.py).
    type: bool
    default: true
  state: {description: Run it or remove it., type: str, choices: [present, absent], default: present}
author: Sightline
"""

EXAMPLES = r"""
- name: Run the server
  service_program:
    name: sightline-vlm
    root: /workspace/sightline
    definition: "{{ lookup('ansible.builtin.template', 'supervisor.conf.j2') }}"
"""

RETURN = r"""
changes: {description: What was done., type: list, returned: always}
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.boot import Boot, BootProblem
from ansible.module_utils.sightline_host.supervisor import Supervisor, SupervisorProblem


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "definition": {"type": "str"},
            "start_at_boot": {"type": "bool", "default": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["definition"])],
        supports_check_mode=True,
    )
    wanted = module.params
    root, dry = Path(wanted["root"]), module.check_mode
    supervisor = Supervisor(root / "supervisor")
    boot = Boot(root, Path.home(), os.getuid())
    try:
        if wanted["state"] == "present":
            changes = supervisor.present(wanted["name"], wanted["definition"], dry)
            changes += boot.present(dry) if wanted["start_at_boot"] else boot.absent(dry)
        else:
            changes = supervisor.absent(wanted["name"], dry)
            changes += [] if supervisor.others(wanted["name"]) else boot.absent(dry)
    except (SupervisorProblem, BootProblem, OSError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
