"""What a model folder's JSON files say about ends and defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sightline_serve.errors import StartError
from sightline_serve.model import Defaults


def read_json(path: Path) -> dict[str, Any]:
    """An object, {} where there is no such file. Raises StartError if it cannot be read."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None
    return content if isinstance(content, dict) else {}


def eos(wanted: dict[str, Any], model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the generation config's, else the text model's, else the tokenizer's."""
    candidates = (
        wanted.get("eos_token_id"),
        model.config.get_text_config().eos_token_id,
        tokenizer.eos_token_id,
    )
    ids: Any = next((candidate for candidate in candidates if candidate is not None), [])
    return frozenset(ids if isinstance(ids, list) else [ids])


def defaults(wanted: dict[str, Any]) -> Defaults:
    """Read from the file, not from GenerationConfig: whose unset fields differ between versions."""
    if not wanted.get("do_sample", False):
        return Defaults()
    return Defaults(
        temperature=float(wanted.get("temperature") or 1.0),
        top_p=float(wanted.get("top_p") or 1.0),
        top_k=int(wanted.get("top_k") or 0),
        min_p=float(wanted.get("min_p") or 0.0),
    )
