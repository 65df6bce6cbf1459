"""LocalAI with one backend (see plugins/module_utils/sightline_host/localai.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: localai_program
short_description: LocalAI and one backend, whole or not at all
description:
  - Takes LocalAI's binary, or an image of it, checks it, and has it install one backend into a folder beside it.
  - A folder that is there is left alone; its name says what it holds.
options:
  path: {description: The folder., type: path, required: true}
  version: {description: LocalAI's version., type: str, required: true}
  binary: {description: "An https address, or a file on the host. Empty with an image.", type: str, default: ""}
  binary_sha256: {description: Its sha256., type: str, default: ""}
  backend: {description: "An oci:// address, or an image's archive on the host.", type: str, required: true}
  backend_sha256: {description: The archive's sha256., type: str, default: ""}
  image: {description: "Run this image, with docker or podman, in place of the binary.", type: str, default: ""}
  sent: {description: Files that were sent for this and are removed in the end., type: list, elements: path, default: []}
  progress_file: {description: Where to write a line for each step., type: path}
author: Sightline
"""

EXAMPLES = r"""
- name: Install LocalAI
  localai_program:
    path: /opt/sightline/localai/v4.9.0
    version: v4.9.0
    binary: https://github.com/mudler/LocalAI/releases/download/v4.9.0/local-ai-v4.9.0-linux-amd64
    binary_sha256: "{{ sum }}"
    backend: oci://quay.io/go-skynet/local-ai-backends:v4.9.0-cpu-llama-cpp
"""

RETURN = r"""
path: {description: The folder., type: str, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.localai import LocalAIProblem, Wanted, install, is_there
from ansible.module_utils.sightline_host.progress import teller


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "binary": {"type": "str", "default": ""},
            "binary_sha256": {"type": "str", "default": ""},
            "backend": {"type": "str", "required": True},
            "backend_sha256": {"type": "str", "default": ""},
            "image": {"type": "str", "default": ""},
            "sent": {"type": "list", "elements": "path", "default": []},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = dict(module.params)
    progress, sent, path = given.pop("progress_file"), given.pop("sent"), Path(given.pop("path"))
    whole = is_there(path)
    result = {"changed": not whole, "path": str(path)}
    if module.check_mode:
        module.exit_json(**result)
    with teller(progress) as say:
        try:
            if not whole:
                install(Wanted(path, **given), say)
        except LocalAIProblem as problem:
            module.fail_json(msg=str(problem))
        finally:
            for file in sent:
                Path(file).unlink(missing_ok=True)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
