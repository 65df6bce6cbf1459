"""Install a folder that the action plugin of the same name packed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: installed_folder
short_description: Copy a folder whole, or not at all
description:
  - Packs a folder of the controller, sends it in one transfer, checks the sha256 of every file and renames it into place.
  - Runs with the action plugin of the same name, which sends nothing when the folder is already there.
options:
  src: {description: The folder on the controller., type: path}
  into: {description: Subfolder of dest for what lies in src., type: str}
  more: {description: "Further folders on the controller, by the subfolder of dest that they go to.", type: dict, default: {}}
  files: {description: Further files, path to text., type: dict, default: {}}
  executables: {description: Paths that shall be executable., type: list, elements: str, default: []}
  dest: {description: The folder on the host. It is replaced as a whole., type: path, required: true}
  installed: {description: "Fingerprint that the probe found at dest; when it is the wanted one, the host is not asked.", type: str}
  manifest: {description: Set by the action plugin., type: dict}
  archive: {description: Set by the action plugin., type: path}
author: Sightline
"""

EXAMPLES = r"""
- name: Install the model that lies in this repository
  installed_folder:
    src: canary/weights
    dest: /opt/sightline/models/canary
"""

RETURN = r"""
fingerprint: {description: sha256 over the folder's manifest., type: str, returned: always}
whole: {description: Whether dest already held the folder., type: bool, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.folder import FolderProblem, install, is_whole, read_manifest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "manifest": {"type": "dict", "required": True},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    dest, manifest = Path(module.params["dest"]), module.params["manifest"]
    there = read_manifest(dest)
    whole = bool(there) and there["fingerprint"] == manifest["fingerprint"] and is_whole(dest, manifest)
    result = {"changed": not whole, "whole": whole, "fingerprint": manifest["fingerprint"]}
    if whole or module.check_mode or module.params["archive"] is None:
        module.exit_json(**result)
    try:
        install(Path(module.params["archive"]), manifest, dest)
    except (FolderProblem, OSError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
