"""A Python that uv brings (see plugins/module_utils/sightline_host/managed_python.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: managed_python
short_description: A Python that the distribution does not have, brought by uv
description:
  - Installs uv from its lock into a folder that goes again, and has it bring one build of python-build-standalone.
  - A Python that is there and runs is left alone.
options:
  python: {description: Its interpreter once it is there., type: path, required: true}
  version: {description: Which one. With C(listed) the minor version., type: str, required: true}
  folder: {description: Where uv puts Pythons., type: path, required: true}
  helper: {description: The Python that fetches uv., type: path, required: true}
  locks:
    description: Lock files of uv, in order.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Short name., type: str, required: true}
      text: {description: The lock file's text., type: str, required: true}
      indexes: {description: Sources to try in order., type: list, elements: str, default: [""]}
  mirror: {description: A mirror of python-build-standalone; empty is uv's own source., type: str, default: ""}
  listed: {description: A list of builds to use instead of uv's own; empty is uv's., type: str, default: ""}
  cache: {description: pip's cache folder., type: path}
  progress_file: {description: Where to write a line for each step., type: path}
author: Sightline
"""

EXAMPLES = r"""
- name: Have uv bring Python 3.12
  managed_python:
    python: /opt/sightline/python/cpython-3.12.16-linux-x86_64-gnu/bin/python3.12
    version: 3.12.16
    folder: /opt/sightline/python
    helper: /usr/bin/python3
    locks:
      - {name: uv, text: "{{ lookup('ansible.builtin.file', 'requirements/uv.lock.txt') }}"}
"""

RETURN = r"""
python: {description: The interpreter., type: str, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.environment import EnvironmentProblem, Lock
from ansible.module_utils.sightline_host.managed_python import ManagedPython, PythonProblem, bring
from ansible.module_utils.sightline_host.progress import teller


def main() -> None:
    lock_options = {
        "name": {"type": "str", "required": True},
        "text": {"type": "str", "required": True},
        "indexes": {"type": "list", "elements": "str", "default": [""]},
    }
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "helper": {"type": "path", "required": True},
            "locks": {"type": "list", "elements": "dict", "required": True, "options": lock_options},
            "mirror": {"type": "str", "default": ""},
            "listed": {"type": "str", "default": ""},
            "cache": {"type": "path"},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    wanted = ManagedPython(
        Path(given["python"]), given["version"], Path(given["folder"]), given["mirror"], given["listed"]
    )
    if wanted.there or module.check_mode:
        module.exit_json(changed=not wanted.there, python=given["python"])
    locks = [Lock(lock["name"], lock["text"], indexes=tuple(lock["indexes"])) for lock in given["locks"]]
    with teller(given["progress_file"]) as say:
        try:
            bring(wanted, given["helper"], locks, say, given["cache"])
        except (PythonProblem, EnvironmentProblem, OSError) as problem:
            module.fail_json(msg=str(problem))
    module.exit_json(changed=True, python=given["python"])


if __name__ == "__main__":
    main()
