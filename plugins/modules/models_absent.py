"""Take models away that no deployment here needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: models_absent
short_description: Remove models from the root folder, and say what that freed
description:
  - Never one that is served or that this deployment wants; then nothing at all is removed.
options:
  root: {description: The root folder., type: path, required: true}
  names: {description: Names of the catalogue's models., type: list, elements: str, required: true}
  kept: {description: Folders that this deployment wants., type: list, elements: str, default: []}
author: Sightline
"""

EXAMPLES = r"""
- name: Make room
  models_absent:
    root: /opt/sightline
    names: [llava-1.5-7b-gguf]
"""

RETURN = r"""
removed: {description: "What went: path and bytes that the disk got back.", type: list, returned: always}
msg: {description: The same in words., type: str, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.fetch_job import JobProblem, stop
from ansible.module_utils.sightline_host.models import ModelProblem, folders_of, remove_models


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "kept": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    root, names = Path(wanted["root"]), wanted["names"]
    try:
        going = remove_models(root, names, wanted["kept"], dry=True)
        if not module.check_mode:
            for name in names:
                for folder in folders_of(root, name):
                    stop(root / "fetch" / folder.name)
            going = remove_models(root, names, wanted["kept"])
    except (JobProblem, ModelProblem, OSError) as problem:
        module.fail_json(msg=str(problem))
    removed = [{"path": gone.path, "bytes": gone.bytes} for gone in going]
    freed = sum(gone.bytes for gone in going)
    said = f"{freed / 1e9:.2f} GB: {', '.join(gone.path for gone in going)}" if going else "none was there"
    module.exit_json(changed=bool(going), removed=removed, msg=said)


if __name__ == "__main__":
    main()
