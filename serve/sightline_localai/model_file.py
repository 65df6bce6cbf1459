"""The model file (YAML) and its template, as LocalAI will read them, and everything that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sightline_start.errors import StartError

from sightline_localai.gguf import check_pair


@dataclass(frozen=True)
class Model:
    """`files`: what LocalAI must find in its models folder, by name there; `backend`: what runs the model."""

    backend: str
    files: dict[str, Path]


def read_model(folder: Path, name: str, weights: Path) -> Model:
    """Read `folder`/NAME.yaml and look at its template and its GGUF pair in `weights`.

    Raises StartError for whatever LocalAI would skip, or pass over without a word.
    """
    file = folder / f"{name}.yaml"
    told = _parse(file)
    if told.get("name") != name:
        raise StartError(
            f"{file} names its model {told.get('name')!r}, not {name!r}: requests would not find it."
        )
    parameters, template = told.get("parameters"), told.get("template")
    model = _word(parameters.get("model") if isinstance(parameters, dict) else None, file, "parameters.model")
    projector = _word(told.get("mmproj"), file, "mmproj")
    files = {file.name: file}
    if not isinstance(template, dict) or not (template.get("chat") or template.get("use_tokenizer_template")):
        raise StartError(
            f"{file} names no template: LocalAI would send the question bare. Set template.chat."
        )
    if template.get("chat"):
        chat = folder / f"{template['chat']}.tmpl"
        if not chat.is_file():
            raise StartError(
                f"{chat} is missing: LocalAI would take the word {template['chat']!r} itself for the prompt."
            )
        if "{{.Input}}" not in chat.read_text(encoding="utf-8").replace(" ", ""):
            raise StartError(f"{chat} has no {{{{.Input}}}}: what is asked would never reach the model.")
        files[chat.name] = chat
    pair = [_found(weights, wanted) for wanted in (model, projector)]
    check_pair(*pair)
    files |= dict(zip((model, projector), pair, strict=True))
    return Model(_word(told.get("backend"), file, "backend"), files)


def _parse(file: Path) -> dict[str, Any]:
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise StartError(f"{file} cannot be read: {problem.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        where = getattr(problem, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise StartError(
            f"{file} is no YAML{line}: LocalAI would skip it and say that it is ready."
        ) from None
    if not isinstance(told, dict):
        raise StartError(f"{file} holds no keys: LocalAI would skip it and say that it is ready.")
    return told


def _word(value: Any, file: Path, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise StartError(f"{file} has no {key}.")
    return value


def _found(weights: Path, name: str) -> Path:
    for file in (weights / name, weights / "gguf" / name):
        if file.is_file():
            return file
    raise StartError(f"{weights} holds no {name}, which the model file names.")
