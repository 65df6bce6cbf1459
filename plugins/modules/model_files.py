"""A model's files, fetched in the background of the host by sightline-fetch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_files
short_description: Start fetching a model's files, and follow it until they are whole
description:
  - Runs with the action plugin of the same name, which sends sightline-fetch with the catalogue's entry, and shows how far it has come.
  - The fetch outlives the connection. One that is at work already is joined, one that was cut off goes on from what is on the disk.
options:
  state: {description: "Only start it, or follow it until it has ended (a fetch that is not there is started).", type: str, choices: [started, whole, unshared], default: whole}
  fetch:
    description: What to fetch, and how.
    type: dict
    required: true
    suboptions:
      entry: {description: The catalogue's entry on the controller., type: path, required: true}
      files: {description: "Folder of the controller that holds the files, for a model that comes from there.", type: path}
      local: {description: Whether the host is the controller itself., type: bool, default: false}
      path: {description: The folder on the host that the files go to., type: path, required: true}
      job: {description: The folder on the host where the fetch keeps its log., type: path, required: true}
      sources: {description: "Where from, in order, as sightline-fetch takes them.", type: list, elements: str, default: []}
      options: {description: Further options of sightline-fetch., type: list, elements: str, default: []}
      token: {description: "The Hub's token; it goes to the process's environment and to no file.", type: str, default: ""}
      interpreters: {description: "Pythons to run it on; the first from 3.10 on is taken.", type: list, elements: str, default: []}
      share: {description: "HOST:PORT at which the host gives it to others while it comes; empty: to nobody. Until C(unshared), or nobody asks for 15 minutes.", type: str, default: ""}
      timeout: {description: Seconds until a fetch that goes on is given up (it is not ended)., type: int, default: 86400}
author: Sightline
"""

EXAMPLES = r"""
- name: Begin to fetch the model
  model_files:
    state: started
    fetch:
      entry: catalogue/models/qwen3-vl-8b.yml
      path: /opt/sightline/models/qwen3-vl-8b
      job: /opt/sightline/fetch/qwen3-vl-8b
      sources: [https://huggingface.co, https://hf-mirror.com]
"""

RETURN = r"""
state: {description: "C(whole), C(working), C(failed), or C(waiting): no Python for it is there yet.", type: str, returned: always}
log: {description: What sightline-fetch said., type: str, returned: "when it has ended, or failed"}
"""

import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.fetch_job import (
    JobProblem,
    choose_python,
    ended_with,
    is_at_work,
    start,
    stop,
    wait,
)
from ansible.module_utils.sightline_host.folder import FolderProblem
from ansible.module_utils.sightline_host.reading import text_of

MOST_LOG = 64 << 10
SHARE_WAIT = 0.5
"""Seconds in which a server that cannot listen has said so."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "job": {"type": "path", "required": True},
            "token": {"type": "str", "default": "", "no_log": True},
            "interpreters": {"type": "list", "elements": "str", "default": []},
            "manifest": {"type": "dict", "default": {}},
            "archive": {"type": "path", "default": ""},
            "words": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "float", "default": 0.0},
            "share": {"type": "list", "elements": "str", "default": []},
            "unshare": {"type": "bool", "default": False},
        },
    )
    wanted = module.params
    job = Path(wanted["job"])
    sharing = job.with_name(job.name + ".share")
    if wanted["unshare"]:
        try:
            module.exit_json(changed=stop(sharing), state="whole")
        except JobProblem as problem:
            module.fail_json(msg=str(problem))
    python = choose_python([sys.executable, *wanted["interpreters"]])
    if not python:
        module.exit_json(changed=False, state="waiting")
    secrets = {"HF_TOKEN": wanted["token"]} if wanted["token"] else {}
    kit = (Path(wanted["archive"]), wanted["manifest"], python)
    try:
        if wanted["share"]:
            start(sharing, *kit, wanted["share"], {}, "sightline_fetch.share")
            wait(sharing, SHARE_WAIT)
            if not is_at_work(sharing):
                module.fail_json(msg=f"it cannot be given to other hosts: {text_of(sharing / 'log').strip()}")
        start(job, *kit, wanted["words"], secrets)
        wait(job, wanted["wait"])
    except (JobProblem, FolderProblem, OSError) as problem:
        module.fail_json(msg=str(problem))
    if is_at_work(job):
        module.exit_json(changed=True, state="working")
    state = "whole" if ended_with(job) == 0 else "failed"
    module.exit_json(changed=True, state=state, log=text_of(job / "log")[-MOST_LOG:])


if __name__ == "__main__":
    main()
