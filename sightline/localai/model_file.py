"""LocalAI's model file (NAME.yaml) and template (NAME.tmpl), from a catalogue entry.

Keys and their spelling: LocalAI v4.9.0, core/config/model_config.go and the page "Model Configuration" of its
documentation (read, not run here).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

BACKEND = "llama-cpp"
USUAL_CONTEXT = 4096
"""Tokens of one conversation if nobody says, unless the model was made for fewer."""
FREE_KEYS: dict[str, type[Any]] = {
    "threads": int,
    "gpu_layers": int,
    "f16": bool,
    "mmap": bool,
    "mmlock": bool,
    "flash_attention": str,
    "cache_type_k": str,
    "cache_type_v": str,
    "main_gpu": str,
    "tensor_split": str,
    "stopwords": list,
}
"""Further keys that a person may set (sightline_localai_model), with their types."""
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "max_tokens")


class ModelFileProblem(Exception):
    """No model file can be made of the entry or the settings; says why and what to do."""


def model_files(
    entry: Mapping[str, Any], name: str, free: Mapping[str, Any], context: int = 0, slots: int = 0
) -> dict[str, str]:
    """{"NAME.yaml": text, and "NAME.tmpl": text where the entry brings a template of its own}.

    `free`: keys of FREE_KEYS; `context`: tokens of one conversation, `slots`: conversations at once, 0 for
    what nobody said. Raises ModelFileProblem.
    """
    model, projector = _pair(entry)
    prompts = entry["prompts"]
    told: dict[str, Any] = {
        "name": name,
        "backend": BACKEND,
        "known_usecases": ["chat", "vision"],
        # llama.cpp shares its context out to the conversations.
        "context_size": _context(entry, context) * max(slots, 1),
        "f16": True,
        "mmap": True,
        "gpu_layers": 0,
        **_checked(free),
        "mmproj": projector,
        "parameters": {
            "model": model,
            **{key: value for key, value in prompts.get("sampling", {}).items() if key in SAMPLING},
        },
    }
    if slots:
        told["options"] = [f"parallel:{slots}"]
    files = {}
    if prompts["template"] == "manual":
        roles = prompts.get("roles")
        if not roles:
            raise ModelFileProblem(
                f"{entry['name']}: prompts.template is manual, and prompts.roles is not there: without both "
                "LocalAI cannot be told how to ask. Fill them in, or use another engine"
            )
        told["roles"] = dict(roles)
        told["template"] = {"chat": name}
        preamble = prompts.get("preamble")
        # No line's end after it: the model goes on from this very word.
        files[f"{name}.tmpl"] = "\n".join(
            [*([preamble] if preamble else []), "{{.Input}}", roles["assistant"].rstrip("\n")]
        )
    else:
        told["template"] = {"use_tokenizer_template": True}
    head = "# Written by Sightline from catalogue/models. LocalAI ignores keys that it does not know.\n"
    return {f"{name}.yaml": head + yaml.safe_dump(told, sort_keys=False, width=1000), **files}


def _pair(entry: Mapping[str, Any]) -> tuple[str, str]:
    """File names of the language model and the projector, without their folder."""
    names: dict[str, list[str]] = {"weights": [], "projector": []}
    for file in entry["files"]:
        if file["role"] in names and file["path"].endswith(".gguf"):
            names[file["role"]].append(file["path"].rpartition("/")[2])
    for role, found in names.items():
        if len(found) != 1:
            raise ModelFileProblem(
                f"{entry['name']} lists {len(found) or 'no'} GGUF file(s) with the role {role}; "
                "LocalAI takes one pair"
            )
    return names["weights"][0], names["projector"][0]


def _context(entry: Mapping[str, Any], wished: int) -> int:
    most = entry["architecture"]["text"]["max_context"]
    return wished or (min(USUAL_CONTEXT, most) if most else USUAL_CONTEXT)


def _checked(free: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in free.items():
        if key not in FREE_KEYS:
            raise ModelFileProblem(
                f"sightline_localai_model has the key {key!r}, which this kit does not pass on "
                f"(LocalAI would ignore one that it does not know). Use {', '.join(FREE_KEYS)}"
            )
        kind = FREE_KEYS[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ModelFileProblem(
                f"sightline_localai_model: {key} is {value!r}, not of the type {kind.__name__}"
            )
        # Ansible's values are of types of its own, which YAML does not know.
        plain[str(key)] = [str(item) for item in value] if isinstance(value, list) else kind(value)
    return plain
