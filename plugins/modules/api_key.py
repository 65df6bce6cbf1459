"""Make an API key on the host at first deployment (see plugins/module_utils/sightline_host/secret.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: api_key
short_description: A random API key, made once, that only its owner can read
description:
  - The key is made on the host. With I(copy_to), the action plugin of the same name keeps a copy on the controller, mode 0600.
  - Neither prints the key.
options:
  path: {description: The key's file on the host., type: path, required: true}
  owner: {description: The user that owns the file., type: str}
  copy_to: {description: File on the controller that shall hold the same key., type: path}
author: Sightline
"""

EXAMPLES = r"""
- name: Make the key
  api_key:
    path: /opt/sightline/secrets/api_key
"""

RETURN = r"""
changes: {description: What was made or repaired., type: list, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.secret import ensure_secret


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True, "no_log": False},
            "owner": {"type": "str"},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    try:
        changes = ensure_secret(path, "sk-sightline-", module.params["owner"] or None, module.check_mode)
    except OSError as problem:
        module.fail_json(msg=f"the API key {path} cannot be made: {problem}")
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
