"""Loaders: how a model folder becomes something the engine can drive. Imported only when chosen."""

from __future__ import annotations

from importlib import import_module

from sightline_serve.model import Model
from sightline_serve.settings import Settings

LOADERS = {
    "transformers": "sightline_serve.loaders.transformers_loader",
    "phi3": "sightline_serve.loaders.phi3_loader",
    "unsloth": "sightline_serve.loaders.unsloth_loader",
}


def load(settings: Settings) -> Model:
    """Raises StartError with one clear line."""
    model: Model = import_module(LOADERS[settings.loader]).load(settings)
    return model
