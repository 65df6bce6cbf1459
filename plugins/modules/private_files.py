"""Files that only their owner reads (see plugins/module_utils/sightline_host/secret.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: private_files
short_description: Text files with mode 0600, each whole or not at all
description:
  - What stands in them is neither shown nor returned.
options:
  files: {description: "Path on the host to text; an empty text removes the file.", type: dict, required: true}
  owner: {description: The user that owns them and their folder., type: str}
author: Sightline
"""

EXAMPLES = r"""
- name: Keep a token
  private_files:
    files: {/opt/sightline/secrets/token: "{{ token }}"}
"""

RETURN = r"""
changes: {description: What was written, repaired or removed., type: list, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.secret import keep_private


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "dict", "required": True, "no_log": True},
            "owner": {"type": "str"},
        },
        supports_check_mode=True,
    )
    changes = []
    for path, text in sorted(module.params["files"].items()):
        try:
            changes += keep_private(Path(path), text or "", module.params["owner"] or None, module.check_mode)
        except OSError as problem:
            module.fail_json(msg=f"{path} cannot be kept: {problem}")
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
