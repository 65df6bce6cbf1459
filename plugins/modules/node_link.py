"""Measure the line between hosts that hold one model (see plugins/module_utils/sightline_host/node_link.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_link
short_description: Measure the line between the hosts that hold one model together, both ways
description:
  - Runs on all of them at once, which takes as many forks as there are hosts. Changes nothing.
options:
  rank: {description: "This host's place among them; 0 is the head.", type: int, required: true}
  count: {description: How many they are., type: int, required: true}
  head: {description: "The head's address in their network.", type: str, required: true}
  address: {description: "This host's address there.", type: str, required: true}
  port: {description: A TCP port of the head that is free., type: int, required: true}
  token: {description: A word that only these hosts know., type: str, required: true, no_log: false}
  least: {description: Bytes a second that each direction must have., type: int, default: 0}
  timeout: {description: Seconds in which all must have come., type: int, default: 60}
author: Sightline
"""

EXAMPLES = r"""
- name: Measure
  node_link:
    rank: 1
    count: 2
    head: 10.0.0.1
    address: 10.0.0.2
    port: 29502
    token: 0123456789ab
"""

RETURN = r"""
lines: {description: "Of the head, one of each other host: rank, to_head and from_head (bytes/s), round_trip (ms).", type: list, returned: success}
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.sightline_host.node_link import LinkProblem, as_head, as_other


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "rank": {"type": "int", "required": True},
            "count": {"type": "int", "required": True},
            "head": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "token": {"type": "str", "required": True, "no_log": False},
            "least": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    lines = []
    try:
        if wanted["rank"] == 0:
            lines = as_head(
                wanted["head"],
                wanted["port"],
                wanted["count"],
                wanted["token"],
                wanted["timeout"],
                lambda text: None,
            )
        else:
            as_other(
                wanted["rank"],
                wanted["address"],
                wanted["head"],
                wanted["port"],
                wanted["token"],
                wanted["timeout"],
            )
    except LinkProblem as problem:
        module.fail_json(msg=str(problem))
    told = [asdict(line) for line in lines]
    slow = [line for line in lines if min(line.to_head, line.from_head) < wanted["least"]]
    if slow:
        said = "; ".join(
            f"rank {line.rank}: {line.to_head / 1e6:.0f} MB/s to the head, {line.from_head / 1e6:.0f} MB/s from it"
            for line in slow
        )
        module.fail_json(
            msg=f"the line between the nodes is too slow for one model on several hosts: {said}; "
            f"{wanted['least'] / 1e6:.0f} are asked for (sightline_node_megabytes). Use hosts with a faster "
            "network, or one host with more cards",
            lines=told,
        )
    module.exit_json(changed=False, lines=told)


if __name__ == "__main__":
    main()
