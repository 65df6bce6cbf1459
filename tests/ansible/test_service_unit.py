"""The unit that the role service writes: what `systemctl reload` does, and for whom."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.nativetypes import NativeEnvironment

from sightline.layout import CHECKOUT, SERVERS

ROLE = CHECKOUT / "roles/service"


def unit(**given: Any) -> list[str]:
    """Lines of the unit, rendered as Ansible does, from the role's defaults and what is `given`."""
    made = Environment(
        loader=FileSystemLoader(ROLE / "templates"), trim_blocks=True, undefined=StrictUndefined
    )
    made.filters["quote"] = shlex.quote
    values = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    return (
        made.get_template("unit.service.j2").render({**values, "__service_log": "/log", **given}).splitlines()
    )


def reloads(lines: list[str]) -> list[str]:
    return [line for line in lines if "HUP" in line or "Reload" in line]


def test_only_who_takes_the_signal_is_sent_it() -> None:
    assert reloads(unit()) == []
    asked = unit(service_reload=True, service_command=["/r/bin/serve", "a b"])
    assert reloads(asked) == ["ExecReload=/bin/kill -HUP $MAINPID"]
    assert (
        asked.index("ExecReload=/bin/kill -HUP $MAINPID") == asked.index("ExecStart=/r/bin/serve 'a b'") + 1
    )


@pytest.mark.parametrize("engine", SERVERS)
def test_that_is_sightline_serve_alone(engine: str) -> None:
    """tests/serve/test_serve_door.py sends it the signal; the others handle none, and would end."""
    wiring = yaml.safe_load((CHECKOUT / "playbooks/group_vars/all/wiring.yml").read_text())["service_reload"]
    told = NativeEnvironment().from_string(wiring).render(sightline_serves=engine)
    assert told is (engine == "sightline-serve")
