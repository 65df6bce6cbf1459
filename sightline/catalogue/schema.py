"""Hold an entry against its JSON schema and say in plain words what is wrong.

The schemas lie in catalogue/schema/. Their own keyword `x-remedy` holds what to do about a value that a part
of the schema refuses, so that the rule and its remedy stand in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from sightline.catalogue.errors import Problem

Kind = Literal["model", "release", "gpus"]

_ROOT = Path(__file__).resolve().parents[2] / "catalogue"
_TYPES = {"integer": "a whole number", "number": "a number", "string": "a text", "null": "null"} | {
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


@lru_cache(maxsize=3)
def validator(kind: Kind) -> Draft202012Validator:
    """Return the validator of one kind of entry, made from catalogue/schema/<kind>.schema.json."""
    schema = json.loads((_ROOT / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def schema_problems(kind: Kind, entry: Any, shown: str) -> list[Problem]:
    """Return every breach of the schema in `entry`, in the order of the keys; `shown` names its file."""
    found: dict[Problem, None] = {}
    for error in validator(kind).iter_errors(entry):
        for leaf in _leaves(error):
            found.update(dict.fromkeys(_problems(leaf, shown, kind)))
    return sorted(found)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    if error.context:
        for part in error.context:
            yield from _leaves(part)
    else:
        yield error


def _problems(error: ValidationError, shown: str, kind: Kind) -> Iterator[Problem]:
    key, value, rule = dotted(error.absolute_path), _any(error.instance), _any(error.validator_value)
    schema = error.schema if isinstance(error.schema, dict) else {}
    remedy = _remedy(error, schema, kind)
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        for name in sorted(set(value) - set(known)):
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "take it out; known here: " + ", ".join(known)
            yield Problem(shown, _join(key, name), "unknown key", hint)
    elif error.validator == "required":
        for name in rule:
            if name not in value:
                yield Problem(
                    shown, _join(key, name), "is missing", _about([*error.absolute_path, name], kind)
                )
    else:
        yield Problem(shown, key, _what(error), remedy)


def _remedy(error: ValidationError, schema: dict[str, Any], kind: Kind) -> str:
    """A remedy beside a `$ref` is about this very key and goes before that of the shared definition."""
    own = schema.get("x-remedy")
    if own is None or "$ref" in error.absolute_schema_path:
        own = _declared(error.absolute_path, kind).get("x-remedy") or own
    return str(own or _about(error.absolute_path, kind).replace("add it: ", "it says ", 1))


def _about(path: Iterable[str | int], kind: Kind) -> str:
    text = _declared(path, kind).get("description")
    return f"add it: {text.rstrip('.')}" if text else "see docs/catalogue.md"


def _declared(path: Iterable[str | int], kind: Kind) -> dict[str, Any]:
    """Return what the schema declares at `path`, without following a last `$ref`; {} for unknown."""
    whole = _any(validator(kind).schema)
    here: Any = whole
    for part in path:
        while isinstance(here, dict) and "$ref" in here:
            here = whole["$defs"][here["$ref"].removeprefix("#/$defs/")]
        here = (
            here.get("items" if isinstance(part, int) else "properties", {}) if isinstance(here, dict) else {}
        )
        here = here if isinstance(part, int) else here.get(part, {})
    return here if isinstance(here, dict) else {}


def _any(value: Any) -> Any:
    """Take away the type checker's doubt: a leaf's fields are always set."""
    return value


def _what(error: ValidationError) -> str:
    value, rule = _shown_value(error.instance), _any(error.validator_value)
    match error.validator:
        case "not":
            return "does not belong here"
        case "type":
            names = [rule] if isinstance(rule, str) else list(rule)
            return f"{value} is not {' or '.join(_TYPES.get(name, name) for name in names)}"
        case "pattern":
            length = f" ({len(_any(error.instance))} characters)"
            return f"{value}{length} has not the form that is wanted here"
        case "enum":
            choices = ", ".join(_shown_value(choice) for choice in rule)
            return f"{value} is none of {choices}"
        case "const":
            return f"{value} is not {_shown_value(rule)}"
        case "exclusiveMinimum":
            return f"{value} is not above {rule}"
        case "uniqueItems":
            return "holds the same thing twice"
        case "minItems" | "minLength":
            return "is empty"
    return error.message


def _shown_value(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def dotted(path: Any) -> str:
    """Write a path of keys and list positions as people do: files[3].size."""
    text = ""
    for part in path:
        text = f"{text}[{part}]" if isinstance(part, int) else _join(text, str(part))
    return text
