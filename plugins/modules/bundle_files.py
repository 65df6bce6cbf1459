"""Files of a bundle on a host (see sightline/bundle)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_files
short_description: Send the files of a bundle that a host needs and does not have
description:
  - Runs with the action plugin of the same name, which sends small files in one tar and large ones one by one, and shows how far it is.
  - A file gets its name when all of it is there. One that was cut off is sent again, those before it are not.
options:
  bundle: {description: "The bundle on the controller, a folder or a tar.", type: path, required: true}
  wanted:
    description: What the host needs of it.
    type: dict
    required: true
    suboptions:
      locks: {description: sha256 of lock files whose wheels are needed., type: list, elements: str, default: []}
      python: {description: "Minor version of the Python that they are for.", type: str, default: ""}
      packages: {description: Whether the packages of the distribution are needed., type: bool, default: false}
      model: {description: A model whose files go to model_folder., type: str, default: ""}
      model_folder: {description: The model's folder on the host., type: path, default: ""}
  folder: {description: Where wheels and packages go on the host., type: path, required: true}
  local: {description: "Whether the host reads the bundle where it lies. Then it is only held against its hashes.", type: bool, default: false}
author: Sightline
"""

EXAMPLES = r"""
- name: Send the wheels of one lock file
  bundle_files:
    bundle: /srv/bundle
    folder: /opt/sightline/bundle
    wanted:
      locks: [0f3c...]
      python: "3.11"
"""

RETURN = r"""
missing: {description: Paths of the files that are not there., type: list, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.sent_files import SentProblem, missing_files, put_file, unpack_files


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
            "hashed": {"type": "bool", "default": True},
            "archive": {"type": "path", "default": ""},
            "path": {"type": "str", "default": ""},
            "sent": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    told = module.params
    folder, wanted = Path(told["folder"]), {path: (note[0], note[1]) for path, note in told["files"].items()}
    try:
        if told["archive"]:
            folder.mkdir(parents=True, exist_ok=True)
            unpack_files(folder, wanted, Path(told["archive"]))
        elif told["sent"]:
            put_file(folder, wanted, told["path"], Path(told["sent"]), told["hashed"])
        else:
            module.exit_json(changed=False, missing=missing_files(folder, wanted, told["hashed"]))
    except (SentProblem, OSError) as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=True, missing=[])


if __name__ == "__main__":
    main()
