"""The folders, the environment and the command that LocalAI is started with.

Names of variables and folders: LocalAI v4.9.0, core/cli/run.go (read, not run here).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sightline_start.errors import StartError
from sightline_start.keys import read_keys

from sightline_localai.model_file import Model, read_model
from sightline_localai.program import Program, find_program

OWN_FOLDERS = {
    "LOCALAI_DATA_PATH": "data",
    "LOCALAI_CONFIG_DIR": "configuration",
    "LOCALAI_GENERATED_CONTENT_PATH": "generated",
    "LOCALAI_UPLOAD_PATH": "upload",
    # What a machine has installed for all is no part of this deployment.
    "LOCALAI_BACKENDS_SYSTEM_PATH": "system-backends",
}
FIXED = {
    # Nothing is fetched, and nothing is changed from outside, while it serves.
    "LOCALAI_AUTOLOAD_GALLERIES": "false",
    "LOCALAI_AUTOLOAD_BACKEND_GALLERIES": "false",
    "LOCALAI_DISABLE_GALLERY_ENDPOINT": "true",
    "LOCALAI_DISABLE_RUNTIME_SETTINGS": "true",
    "LOCALAI_SUBTLE_KEY_COMPARISON": "true",
    "LOCALAI_PARALLEL_REQUESTS": "true",
}


@dataclass(frozen=True)
class Settings:
    """`program`, `models`, `weights`, `work`: see the command line; `options` go to `local-ai run`."""

    program: Path
    models: Path
    weights: Path
    work: Path
    name: str
    host: str
    port: int
    api_key_file: Path
    web_ui: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """What is executed; the keys stand in `environment` and nowhere else."""

    command: tuple[str, ...]
    environment: dict[str, str]


def prepare(settings: Settings, outer: Mapping[str, str]) -> Start:
    """Look at everything, lay out the work folder anew, and say what to execute. Raises StartError."""
    model = read_model(settings.models, settings.name, settings.weights)
    program = find_program(settings.program, model.backend)
    keys = read_keys(settings.api_key_file)
    if any("," in key for key in keys):
        raise StartError(
            f"{settings.api_key_file}: LocalAI takes a comma for the end of a key. Use another key."
        )
    try:
        models = lay_out(settings.work, model)
    except OSError as problem:
        raise StartError(f"{settings.work} cannot be laid out: {problem.strerror}.") from None
    own = environment_of(settings, program, models) | {"LOCALAI_API_KEY": ",".join(keys)}
    kept = {name: value for name, value in outer.items() if not name.startswith("LOCALAI_")}
    return Start(command_of(settings, program, own), kept | {"HOME": str(settings.work)} | own)


def lay_out(work: Path, model: Model) -> Path:
    """The models folder: copies of the texts, links to the weights; made anew, as LocalAI may write there."""
    models = work / "models"
    shutil.rmtree(models, ignore_errors=True)
    for folder in (models, *(work / name for name in OWN_FOLDERS.values())):
        folder.mkdir(parents=True, exist_ok=True)
    for name, source in model.files.items():
        if source.suffix == ".gguf":
            (models / name).symlink_to(source)
        else:
            shutil.copyfile(source, models / name)
    return models


def environment_of(settings: Settings, program: Program, models: Path) -> dict[str, str]:
    """LocalAI's variables, less the keys."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return {
        **FIXED,
        **{name: str(settings.work / folder) for name, folder in OWN_FOLDERS.items()},
        "LOCALAI_ADDRESS": f"{host}:{settings.port}",
        "LOCALAI_MODELS_PATH": str(models),
        "LOCALAI_BACKENDS_PATH": str(program.backends),
        "LOCALAI_DISABLE_WEBUI": "false" if settings.web_ui else "true",
        # The first client does not wait for the model.
        "LOCALAI_LOAD_TO_MEMORY": settings.name,
    }


def command_of(settings: Settings, program: Program, own: Mapping[str, str]) -> tuple[str, ...]:
    """`local-ai run`, or the same in a container that sees the host's folders under their own paths."""
    run = ("run", *settings.options)
    if not program.image:
        return (str(program.binary), *run)
    words = [
        str(program.binary),
        "run",
        "--rm",
        "--name",
        f"sightline-localai-{settings.port}",
        "--network",
        "host",
    ]
    # A variable without a value is taken from the engine's own environment: a key never stands in a command.
    words += [word for name in sorted(own) for word in ("--env", name)]
    for folder, mode in ((settings.work, "rw"), (program.backends, "ro"), (settings.weights, "ro")):
        words += ["--volume", f"{os.path.realpath(folder)}:{folder}:{mode}"]
    return (*words, program.image, *run)
