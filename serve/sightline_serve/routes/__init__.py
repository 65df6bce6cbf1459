"""The routes that ask the model, a file a family."""

from __future__ import annotations

from fastapi import FastAPI

from sightline_serve.routes import chat, completions, responses, tokens
from sightline_serve.service import Service


def add(app: FastAPI, service: Service) -> None:
    for family in (chat, completions, responses, tokens):
        family.add(app, service)
