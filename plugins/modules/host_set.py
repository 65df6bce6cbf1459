"""A set of packages and files on a host (see plugins/module_utils/sightline_host/package_set.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_set
short_description: Install packages and files so that exactly these can be removed again
description:
  - Installs packages by apt without what they merely recommend, after writing down what comes with them.
  - Removes nothing that was there before, or that somebody else's packages need by now.
options:
  name: {description: "The set's name. With state absent it may be left out, which means all sets.", type: str}
  state: {description: Install it or remove it., type: str, choices: [present, absent], default: present}
  fingerprint: {description: Of everything that decides what the set is; the probe tells it back., type: str, default: ""}
  source: {description: Where its packages come from., type: str, default: ""}
  folder: {description: "A folder of packages and their list, asked in place of all sources of the host.", type: path, default: ""}
  packages: {description: "Packages, or PACKAGE=VERSION.", type: list, elements: str, default: []}
  least: {description: Package to the lowest version that will do., type: dict, default: {}}
  repositories:
    description: Repositories to add.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Short name., type: str, required: true}
      uri: {description: Its address., type: str, required: true}
      suite: {description: "Suite; one that ends in a slash is a folder.", type: str, default: /}
      components: {description: Parts of the suite., type: list, elements: str, default: []}
      key: {description: Address of its public key., type: str, required: true}
      fingerprint: {description: The key's fingerprint., type: str, required: true}
  components: {description: Further parts to ask of the distribution's own sources., type: list, elements: str, default: []}
  files: {description: "Files to write, path to text. Each has sightline in its name.", type: dict, default: {}}
  hold: {description: Beginnings of names; packages that came with the set and begin so are held., type: list, elements: str, default: []}
  environment:
    description: A Python environment that belongs to the set; it has sightline in its folder's name and goes with it.
    type: dict
    suboptions:
      path: {description: The environment's folder., type: path, required: true}
      interpreter: {description: The Python to build with., type: path, required: true}
      locks: {description: Lock files in order; see the module python_environment., type: list, elements: dict, required: true}
      cache: {description: pip's cache folder., type: path}
  lock_seconds: {description: How long another program may keep apt locked., type: int, default: 900}
  progress_file: {description: Where to write a line for each step., type: path}
author: Sightline
"""

EXAMPLES = r"""
- name: Install the CUDA toolkit
  host_set:
    name: cuda
    packages: [nvidia-cuda-toolkit]
    components: [contrib, non-free]
    hold: [nvidia-cuda]
"""

RETURN = r"""
changes: {description: What was installed or removed., type: list, returned: always}
left: {description: "What stays after a removal, with the reason.", type: list, returned: always}
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.alone import StillAtWork, alone
from ansible.module_utils.sightline_host.apt import AptProblem, Say
from ansible.module_utils.sightline_host.driver_install import unload_driver
from ansible.module_utils.sightline_host.environment import EnvironmentProblem, Lock, build
from ansible.module_utils.sightline_host.host_sets import WORK, SetsProblem
from ansible.module_utils.sightline_host.package_removal import remove_sets
from ansible.module_utils.sightline_host.package_set import PackageSet, wanted_set
from ansible.module_utils.sightline_host.progress import teller

REPOSITORY = {
    "name": {"type": "str", "required": True},
    "uri": {"type": "str", "required": True},
    "suite": {"type": "str", "default": "/"},
    "components": {"type": "list", "elements": "str", "default": []},
    "key": {"type": "str", "required": True, "no_log": False},
    "fingerprint": {"type": "str", "required": True},
}
LOCK = {
    "name": {"type": "str", "required": True},
    "text": {"type": "str", "required": True},
    "no_deps": {"type": "bool", "default": False},
    "indexes": {"type": "list", "elements": "str", "default": [""]},
}
ENVIRONMENT = {
    "path": {"type": "path", "required": True},
    "interpreter": {"type": "path", "required": True},
    "locks": {"type": "list", "elements": "dict", "required": True, "options": LOCK},
    "cache": {"type": "path"},
}
DRIVER = "driver"


def present(wanted: dict[str, Any], dry: bool, say: Say) -> dict[str, Any]:
    """Install the set."""
    if not dry:
        work = PackageSet(wanted_set(wanted), say, lock_seconds=wanted["lock_seconds"])
        work.open()
        work.add(wanted["packages"])
        if environment := wanted["environment"]:
            locks = [
                Lock(lock["name"], lock["text"], lock["no_deps"], tuple(lock["indexes"]))
                for lock in environment["locks"]
            ]
            path = Path(environment["path"])
            work.note_folder(path)
            build(path, environment["interpreter"], locks, say, environment["cache"])
        work.close()
    came = [*wanted["packages"], *([wanted["environment"]["path"]] if wanted["environment"] else [])]
    return {"changed": True, "changes": [f"installed {', '.join(came)}"], "left": []}


def absent(wanted: dict[str, Any], dry: bool, say: Say) -> dict[str, Any]:
    """Remove the set, or all of them."""
    names = [wanted["name"]] if wanted["name"] else None
    removed, left = remove_sets(names, say, lock_seconds=wanted["lock_seconds"], dry=dry)
    if not dry and any(line.startswith(f"{DRIVER}:") for line in removed):
        left += unload_driver()
    return {"changed": bool(removed), "changes": removed, "left": left}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "fingerprint": {"type": "str", "default": ""},
            "source": {"type": "str", "default": ""},
            "folder": {"type": "path", "default": ""},
            "packages": {"type": "list", "elements": "str", "default": []},
            "least": {"type": "dict", "default": {}},
            "repositories": {"type": "list", "elements": "dict", "default": [], "options": REPOSITORY},
            "components": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "dict", "default": {}},
            "hold": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "options": ENVIRONMENT},
            "lock_seconds": {"type": "int", "default": 900},
            "progress_file": {"type": "path"},
        },
        required_if=[("state", "present", ["name"])],
        supports_check_mode=True,
    )
    wanted = module.params
    do = present if wanted["state"] == "present" else absent
    with teller(wanted["progress_file"]) as say:
        try:
            with nullcontext() if module.check_mode else alone(WORK, say):
                result = do(wanted, module.check_mode, say)
        except (StillAtWork, AptProblem, SetsProblem, EnvironmentProblem, OSError, ValueError) as problem:
            module.fail_json(msg=str(problem))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
