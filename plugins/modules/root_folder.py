"""Make or remove the folder that holds everything Sightline puts on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: root_folder
short_description: The root folder with its marker, or its removal
description:
  - Only an empty or new folder is taken, and only a folder that carries the marker is removed.
options:
  path: {description: The folder., type: path, required: true}
  owner: {description: The service's user; owns cache/, log/ and secrets/., type: str}
  state: {description: Make it or remove it with everything in it., type: str, choices: [present, absent], default: present}
author: Sightline
"""

EXAMPLES = r"""
- name: Make the root folder
  root_folder:
    path: /opt/sightline
"""

RETURN = r"""
changes: {description: What was made or removed., type: list, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.root import RootProblem, make_root, remove_root


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "owner": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    try:
        if wanted["state"] == "present":
            changes = make_root(Path(wanted["path"]), wanted["owner"] or None, module.check_mode)
        else:
            changes = remove_root(Path(wanted["path"]), module.check_mode)
    except (RootProblem, OSError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
