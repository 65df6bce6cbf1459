"""Wait until a served model has answered once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_ready
short_description: Wait until an endpoint on this host says that it is ready
options:
  url: {description: The address to ask., type: str, required: true}
  lists: {description: "A model that /v1/models must list too: some servers are ready without it.", type: str, default: ""}
  key_file: {description: File with the API key for that., type: path}
  timeout: {description: Seconds to wait., type: int, default: 600}
  service: {description: "The service behind it: when it stops running, waiting ends at once.", type: str, required: true}
  root: {description: The root folder., type: path, required: true}
  log: {description: "The service's log, shown when it does not become ready.", type: path}
  progress_file: {description: Where to write what the endpoint says meanwhile., type: path}
author: Sightline
"""

EXAMPLES = r"""
- name: Wait for the model
  endpoint_ready:
    url: http://127.0.0.1:8642/ready
    service: sightline-vlm
    root: /opt/sightline
"""

RETURN = r"""
waited: {description: Seconds until it was ready., type: float, returned: success}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.progress import teller
from ansible.module_utils.sightline_host.readiness import NotReady, wait_listed, wait_ready
from ansible.module_utils.sightline_host.service_state import read_service
from ansible.module_utils.sightline_host.supervisor import last_lines


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "lists": {"type": "str", "default": ""},
            "key_file": {"type": "path"},
            "timeout": {"type": "int", "default": 600},
            "service": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "log": {"type": "path"},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if module.check_mode:
        module.exit_json(changed=False, waited=0.0)

    def alive() -> bool:
        return bool(read_service(wanted["service"], wanted["root"])["state"] == "running")

    with teller(wanted["progress_file"]) as say:
        try:
            waited = wait_ready(wanted["url"], wanted["timeout"], say, alive)
            if wanted["lists"]:
                key = Path(wanted["key_file"]) if wanted["key_file"] else None
                wait_listed(wanted["url"], wanted["lists"], key)
        except NotReady as problem:
            log = last_lines(Path(wanted["log"])) if wanted["log"] else ""
            module.fail_json(msg=f"{problem}. Last lines of {wanted['log']}:\n{log}")
    module.exit_json(changed=False, waited=round(waited, 2))


if __name__ == "__main__":
    main()
