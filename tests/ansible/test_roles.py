"""The roles' faces: specification, defaults and README say the same, and the house rules hold.

Each rule is a function over a role's folder that lists what is wrong; it is seen to find that in a broken
role and nothing in the roles of this repository.
"""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightline import role_readme
from sightline.layout import CHECKOUT
from sightline.role_readme import MARKER, wanted

ROLES = sorted(folder for folder in (CHECKOUT / "roles").iterdir() if folder.is_dir())
OWN_MODULES = {file.stem for file in (CHECKOUT / "plugins/modules").glob("*.py")}
OWN_ACTIONS = {file.stem for file in (CHECKOUT / "plugins/action").glob("*.py")}
# Words of a task that name no module.
KEYWORDS = {
    "name", "when", "loop", "loop_control", "register", "vars", "tags", "become", "become_user",
    "delegate_to", "changed_when", "failed_when", "check_mode", "no_log", "notify", "until", "retries",
    "delay", "run_once",
}  # fmt: skip
BLOCKS = ("block", "rescue", "always")


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def options_of(role: Path) -> dict[str, Any]:
    return dict(load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"])


def tasks_of(role: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted([*role.glob("tasks/*.yml"), *role.glob("handlers/*.yml")]):
        waiting = list(load(file) or [])
        while waiting:
            task = waiting.pop(0)
            yield file, task
            for part in BLOCKS:
                waiting += task.get(part, [])


def missing_files(role: Path) -> list[str]:
    files = ("README.md", "defaults/main.yml", "meta/argument_specs.yml", "tasks/main.yml")
    return [name for name in files if not (role / name).is_file()]


def stale_readme(role: Path) -> list[str]:
    return [] if (role / "README.md").read_text() == wanted(role) else ["README.md is out of date"]


def readme_without_example(role: Path) -> list[str]:
    kept = (role / "README.md").read_text().partition(MARKER)[2]
    example, _, notes = kept.partition("\n## Notes\n")
    found = []
    if f"role: {role.name}" not in example:
        found.append("no example uses the role")
    if not re.search(r"```\n\n[^\n#]+\.\n*$", example):
        found.append("the example is not followed by one sentence")
    if not notes.strip():
        found.append("there are no notes")
    return found


def example_with_unknown_variables(role: Path) -> list[str]:
    face, _, kept = (role / "README.md").read_text().partition(MARKER)
    # The face also names the facts that the role publishes.
    known = {*options_of(role), *re.findall(rf"`({role.name}_\w+)", face)}
    used: set[str] = set()
    for block in re.findall(r"```yaml\n(.*?)```", kept, flags=re.DOTALL):
        for play in yaml.safe_load(block):
            for entry in play["roles"]:
                used |= entry.get("vars", {}).keys()
    named = set(re.findall(rf"`({role.name}_\w+)", kept))
    return [name for name in sorted(used | named) if name not in known]


def defaults_that_differ(role: Path) -> list[str]:
    defaults = load(role / "defaults/main.yml") or {}
    specified = {name: option["default"] for name, option in options_of(role).items() if "default" in option}
    required = {name for name, option in options_of(role).items() if option.get("required")}
    found = [
        name for name in sorted(defaults.keys() | specified.keys()) if not _same(defaults, specified, name)
    ]
    return found + [f"{name} is required and has a default" for name in sorted(required & defaults.keys())]


def _same(one: dict[str, Any], other: dict[str, Any], name: str) -> bool:
    return name in one and name in other and repr(one[name]) == repr(other[name])


def badly_named_variables(role: Path) -> list[str]:
    """Public variables begin with the role's name, all others with `__` and the role's name."""
    public = {*options_of(role), *(load(role / "defaults/main.yml") or {})}
    internal: set[str] = set()
    for file in role.glob("vars/*.yml"):
        internal |= (load(file) or {}).keys()
    for _, task in tasks_of(role):
        internal |= task.get("vars", {}).keys()
        if "register" in task:
            internal.add(task["register"])
        # A fact is how a role tells others something, so it may be public.
        public |= task.get("ansible.builtin.set_fact", {}).keys() - {"cacheable"}
    found = [name for name in sorted(public) if not re.match(rf"(__)?{role.name}_", name)]
    return found + [name for name in sorted(internal) if not name.startswith(f"__{role.name}_")]


def defaults_in_tasks(role: Path) -> list[str]:
    """defaults/main.yml is where defaults are: one in a task is a second truth."""
    files = [*role.glob("tasks/*.yml"), *role.glob("handlers/*.yml"), *role.glob("templates/*")]
    pattern = re.compile(r"\|\s*(default|d)\s*\(")
    return [f"{file.name}: {match[0]}" for file in files for match in pattern.finditer(file.read_text())]


def modules_without_their_full_name(role: Path) -> list[str]:
    found = []
    for file, task in tasks_of(role):
        for word in task.keys() - KEYWORDS - set(BLOCKS):
            if word.count(".") < 2 and word not in OWN_MODULES | OWN_ACTIONS:
                found.append(f"{file.name}: {word}")
    return found


def badly_named_tasks(role: Path) -> list[str]:
    found = []
    for file, task in tasks_of(role):
        if not re.match(r"[A-Z]\w* \| [A-Z]", str(task.get("name", ""))):
            found.append(f"{file.name}: {task.get('name')}")
    return found


def swallowed_failures(role: Path) -> list[str]:
    return [
        f"{file.name}: {task.get('name')}"
        for file, task in tasks_of(role)
        if task.get("ignore_errors") or task.get("ignore_unreachable") or task.get("failed_when") is False
    ]


Rule = Callable[[Path], list[str]]
RULES: list[Rule] = [
    missing_files, stale_readme, readme_without_example, example_with_unknown_variables, defaults_that_differ,
    badly_named_variables, defaults_in_tasks, modules_without_their_full_name, badly_named_tasks,
    swallowed_failures,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_rule_holds(role: Path, rule: Rule) -> None:
    assert rule(role) == []


# Below: a role of the test's own, whole at first, then broken in the way that each rule is there for.

SPECS: dict[str, Any] = {
    "argument_specs": {
        "main": {
            "short_description": "A demonstration",
            "description": ["Shows C(code) and I(more).", "A second paragraph."],
            "options": {
                "demo_port": {"type": "int", "default": 8642, "description": "The port."},
                "demo_kind": {
                    "type": "str", "choices": ["a", "b"], "default": "a", "description": "This | that.",
                },
                "demo_items": {
                    "type": "list", "elements": "dict", "default": [], "description": ["Things.", "Any."],
                    "options": {"name": {"type": "str", "required": True, "description": "Its name."}},
                },
                "demo_one": {
                    "type": "dict", "default": {}, "description": "One thing.",
                    "options": {"name": {"type": "str", "description": "Its name."}},
                },
            },
        }
    }
}  # fmt: skip
DEFAULTS: dict[str, Any] = {"demo_port": 8642, "demo_kind": "a", "demo_items": [], "demo_one": {}}
TASK: dict[str, Any] = {
    "name": "Demo | Say something",
    "ansible.builtin.debug": {"msg": "{{ demo_port }}"},
    "register": "__demo_said",
}
KEPT = """
## Example

```yaml
- hosts: sightline
  roles:
    - role: demo
      vars:
        demo_port: 9000
```

Shows it at port 9000.

## Notes

`demo_kind` changes nothing.
"""


def put_yaml(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(role_readme, "ROLES", tmp_path / "roles")
    role = tmp_path / "roles" / "demo"
    put_yaml(role / "meta/argument_specs.yml", SPECS)
    put_yaml(role / "defaults/main.yml", DEFAULTS)
    put_yaml(role / "tasks/main.yml", [TASK])
    put_yaml(role / "vars/main.yml", {"__demo_inner": 1})
    (role / "README.md").write_text(f"{MARKER}\n{KEPT}")
    assert role_readme.main([]) == 0
    return role


def test_a_whole_role_breaks_no_rule(demo: Path) -> None:
    assert {rule.__name__: rule(demo) for rule in RULES if rule(demo)} == {}


def with_task(role: Path, **changes: object) -> None:
    put_yaml(role / "tasks/main.yml", [TASK, {"name": "Demo | Block", "block": [TASK | changes]}])


def with_option(role: Path, name: str, **changes: object) -> None:
    specs = copy.deepcopy(SPECS)
    options = specs["argument_specs"]["main"]["options"]
    options[name] = options.get(name, {}) | changes
    put_yaml(role / "meta/argument_specs.yml", specs)


def with_readme(role: Path, old: str, new: str) -> None:
    text = (role / "README.md").read_text()
    assert old in text
    (role / "README.md").write_text(text.replace(old, new))


BROKEN: list[tuple[Rule, Callable[[Path], object]]] = [
    (missing_files, lambda role: (role / "README.md").unlink()),
    (missing_files, lambda role: (role / "tasks/main.yml").unlink()),
    (stale_readme, lambda role: with_option(role, "demo_port", description="Another.")),
    (stale_readme, lambda role: with_readme(role, "| int |", "| str |")),
    (readme_without_example, lambda role: with_readme(role, "role: demo", "role: other")),
    (readme_without_example, lambda role: with_readme(role, "Shows it at port 9000.\n", "")),
    (readme_without_example, lambda role: with_readme(role, "`demo_kind` changes nothing.\n", "")),
    (example_with_unknown_variables, lambda role: with_readme(role, "demo_port: 9000", "demo_prot: 9000")),
    (
        example_with_unknown_variables,
        lambda role: with_readme(role, "`demo_kind` changes", "`demo_knid` changes"),
    ),
    (defaults_that_differ, lambda role: put_yaml(role / "defaults/main.yml", DEFAULTS | {"demo_port": 1})),
    (
        defaults_that_differ,
        lambda role: put_yaml(role / "defaults/main.yml", DEFAULTS | {"demo_port": "8642"}),
    ),
    (defaults_that_differ, lambda role: put_yaml(role / "defaults/main.yml", DEFAULTS | {"demo_more": 1})),
    (defaults_that_differ, lambda role: put_yaml(role / "defaults/main.yml", {"demo_port": 8642})),
    (defaults_that_differ, lambda role: with_option(role, "demo_port", required=True)),
    (badly_named_variables, lambda role: with_option(role, "port", type="int", description="x")),
    (badly_named_variables, lambda role: put_yaml(role / "vars/main.yml", {"demo_inner": 1})),
    (badly_named_variables, lambda role: with_task(role, register="said")),
    (badly_named_variables, lambda role: with_task(role, vars={"demo_x": 1})),
    (badly_named_variables, lambda role: with_task(role, **{"ansible.builtin.set_fact": {"said": 1}})),
    (defaults_in_tasks, lambda role: with_task(role, when="demo_port | default(1)")),
    (defaults_in_tasks, lambda role: with_task(role, when="demo_port|d(1)")),
    (modules_without_their_full_name, lambda role: with_task(role, copy={"src": "x"})),
    (modules_without_their_full_name, lambda role: with_task(role, **{"builtin.copy": {"src": "x"}})),
    (badly_named_tasks, lambda role: with_task(role, name="say something")),
    (badly_named_tasks, lambda role: with_task(role, name=None)),
    (swallowed_failures, lambda role: with_task(role, ignore_errors=True)),
    (swallowed_failures, lambda role: with_task(role, failed_when=False)),
]


@pytest.mark.parametrize(
    ("rule", "damage"), BROKEN, ids=[f"{rule.__name__}-{number}" for number, (rule, _) in enumerate(BROKEN)]
)
def test_the_rule_finds_it_broken(demo: Path, rule: Rule, damage: Callable[[Path], object]) -> None:
    damage(demo)
    assert rule(demo) != []


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule for rule, _ in BROKEN} == set(RULES)


def test_a_readme_says_what_the_specification_says(demo: Path) -> None:
    text = (demo / "README.md").read_text()

    assert text.startswith(
        "# demo\n\nA demonstration.\n\nShows `code` and `more`.\n\nA second paragraph.\n\n"
    )
    assert "| `demo_port` | int | `8642` | The port. |\n" in text
    assert '| `demo_kind` | str | `"a"` | This \\| that. One of `a`, `b`. |\n' in text
    assert "| `demo_items` | list of dict | `[]` | Things. Any. |\n" in text
    assert "| `demo_items[].name` | str | required | Its name. |\n" in text
    assert "| `demo_one.name` | str |  | Its name. |\n" in text
    assert text.endswith(f"{MARKER}\n{KEPT}")


def test_check_writes_nothing_and_writing_keeps_what_people_wrote(
    demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert role_readme.main(["--check"]) == 0
    with_option(demo, "demo_port", description="Another.")
    before = (demo / "README.md").read_text()

    assert role_readme.main(["--check"]) == 1
    assert "out of date: demo; run scripts/role-readme" in capsys.readouterr().err
    assert (demo / "README.md").read_text() == before

    assert role_readme.main(["demo"]) == 0
    assert capsys.readouterr().out == "wrote roles/demo/README.md\n"
    assert (demo / "README.md").read_text() == before.replace("The port.", "Another.")
    assert role_readme.main(["--check"]) == 0


def test_a_new_role_gets_the_part_to_fill_in(demo: Path) -> None:
    (demo / "README.md").unlink()
    assert role_readme.main(["--check"]) == 1
    assert role_readme.main([]) == 0
    assert (demo / "README.md").read_text().endswith(f"{MARKER}\n{role_readme.NEW}")
    assert readme_without_example(demo) != []


def test_what_cannot_be_written_is_named(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (demo / "README.md").read_text()
    with_readme(demo, MARKER, "")
    assert role_readme.main([]) == 1
    assert "README.md has lost the line" in capsys.readouterr().err

    (demo / "README.md").write_text(whole)
    for broken in ("", "[", "argument_specs: {main: {}}", "argument_specs: {main: {options: {a: {}}}}"):
        (demo / "meta/argument_specs.yml").write_text(broken)
        assert role_readme.main(["--check"]) == 1
        said = capsys.readouterr().err
        assert "argument_specs.yml is not a whole argument specification" in said
    assert (demo / "README.md").read_text() == whole

    shutil.rmtree(demo / "meta")
    assert role_readme.main([]) == 1
    assert "argument_specs.yml" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        role_readme.main(["other"])
    assert caught.value.code == 2
    assert "no role is named other; there is: demo" in capsys.readouterr().err
