"""Build a Python environment from hash-locked files (see plugins/module_utils/sightline_host/environment.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_environment
short_description: A Python environment with exactly what lock files name
description:
  - Creates the environment, installs each lock file that is not in it yet, and stamps it when it is whole.
  - An environment whose stamp names another version of a lock is built anew; one that fails half-way is removed.
options:
  path: {description: The environment's folder., type: path, required: true}
  interpreter: {description: The Python to build with., type: path, required: true}
  locks:
    description: Lock files in order.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Short name., type: str, required: true}
      text: {description: The lock file's text., type: str, required: true}
      no_deps: {description: Install without dependencies., type: bool, default: false}
      indexes:
        description: Sources to try in order. An index, or C(find-links:) and a folder or page of wheels; an empty string is what pip is configured for.
        type: list
        elements: str
        default: [""]
  base:
    description: A Python with PyTorch to stand on. What it has at the locks' versions is used, and only the rest is installed.
    type: dict
    suboptions:
      packages: {description: The folder that torch lies in., type: path, required: true}
      kind: {description: What it is., type: str, choices: [system, venv, conda], required: true}
      torch: {description: torch's version there., type: str, required: true}
  cache: {description: pip's cache folder., type: path}
  forget_cache: {description: Remove the cache folder once all is installed., type: bool, default: false}
  progress_file: {description: Where to write a line for each step., type: path}
author: Sightline
"""

EXAMPLES = r"""
- name: Build the engine's environment
  python_environment:
    path: /opt/sightline/env/cpu
    interpreter: /usr/bin/python3.12
    locks:
      - {name: engine-cpu, text: "{{ lookup('ansible.builtin.file', 'requirements/engine-cpu.lock.txt') }}"}
"""

RETURN = r"""
locks: {description: The locks that were, or would be, installed., type: list, returned: always}
"""

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.adopted import AdoptedBase, AdoptionProblem
from ansible.module_utils.sightline_host.environment import EnvironmentProblem, Lock, build, missing_locks
from ansible.module_utils.sightline_host.progress import teller


def main() -> None:
    lock_options = {
        "name": {"type": "str", "required": True},
        "text": {"type": "str", "required": True},
        "no_deps": {"type": "bool", "default": False},
        "indexes": {"type": "list", "elements": "str", "default": [""]},
    }
    base_options = {
        "packages": {"type": "path", "required": True},
        "kind": {"type": "str", "choices": ["system", "venv", "conda"], "required": True},
        "torch": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "interpreter": {"type": "path", "required": True},
            "locks": {"type": "list", "elements": "dict", "required": True, "options": lock_options},
            "base": {"type": "dict", "options": base_options},
            "cache": {"type": "path"},
            "forget_cache": {"type": "bool", "default": False},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    path = Path(wanted["path"])
    locks = [
        Lock(lock["name"], lock["text"], lock["no_deps"], tuple(lock["indexes"])) for lock in wanted["locks"]
    ]
    base = AdoptedBase(**wanted["base"]) if wanted["base"] else None
    todo = missing_locks(path, locks, base)
    names = [lock.name for lock in (locks if todo is None else todo)]
    if not names or module.check_mode:
        module.exit_json(changed=bool(names), locks=names)
    with teller(wanted["progress_file"]) as say:
        try:
            build(path, wanted["interpreter"], locks, say, wanted["cache"], base)
        except (AdoptionProblem, EnvironmentProblem, OSError) as problem:
            module.fail_json(msg=str(problem))
        if wanted["forget_cache"] and wanted["cache"]:
            shutil.rmtree(wanted["cache"], ignore_errors=True)
    module.exit_json(changed=True, locks=names)


if __name__ == "__main__":
    main()
