"""Whether a host reaches an address (see plugins/module_utils/sightline_host/managed_python.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: address_answers
short_description: Whether the host reaches one of several addresses, without fetching what lies there
description:
  - Changes nothing. An address may be http, https or file.
options:
  addresses: {description: Tried in order until one answers., type: list, elements: str, required: true}
author: Sightline
"""

EXAMPLES = r"""
- name: Ask for a file of a mirror
  address_answers:
    addresses: ["https://mirror.example/20261110/python.tar.gz", "file:///mnt/mirror/20261110/python.tar.gz"]
"""

RETURN = r"""
reachable: {description: Whether one answered that it has it., type: bool, returned: always}
detail: {description: Why the last one did not; null where one did., type: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.managed_python import first_answer


def main() -> None:
    module = AnsibleModule(
        argument_spec={"addresses": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **first_answer(module.params["addresses"]))


if __name__ == "__main__":
    main()
