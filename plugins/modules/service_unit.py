"""Keep a program running as a unit of systemd (see plugins/module_utils/sightline_host/systemd_unit.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_unit
short_description: A program kept running as a unit of systemd
description:
  - One round trip, and none of Ansible's own files on the host, which a check would leave there too.
options:
  name: {description: The service's name., type: str, required: true}
  definition: {description: The unit file's text., type: str}
  state: {description: Run it or remove it., type: str, choices: [present, absent], default: present}
author: Sightline
"""

EXAMPLES = r"""
- name: Run the server
  service_unit:
    name: sightline-vlm
    definition: "{{ lookup('ansible.builtin.template', 'unit.service.j2') }}"
"""

RETURN = r"""
changes: {description: What was done., type: list, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.systemd_unit import Unit, UnitProblem


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "definition": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["definition"])],
        supports_check_mode=True,
    )
    wanted = module.params
    unit = Unit(wanted["name"])
    try:
        if wanted["state"] == "present":
            changes = unit.present(wanted["definition"], module.check_mode)
        else:
            changes = unit.absent(module.check_mode)
    except (UnitProblem, OSError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
