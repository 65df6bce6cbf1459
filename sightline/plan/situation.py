"""Everything that a plan is made from, and what follows from it without any judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sightline.plan.outcome import Share, Step
from sightline.plan.reading import Unreadable, read, read_or_none
from sightline.plan.render import human_bytes

DEFAULT_MARGIN = 512 * 1024**2
"""Bytes that must stay free beside what is put there: logs, caches, the next small thing."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a plan is made from: two entries that fit their schemas, the host's facts, the settings."""

    model: dict[str, Any]
    release: dict[str, Any]
    facts: Any
    settings: Any

    @property
    def staging(self) -> bool:
        """True where only the model is fetched, for a host that may get its GPU later (--tags fetch)."""
        return bool(self.settings.get("staging")) if isinstance(self.settings, dict) else False

    @property
    def serving(self) -> dict[str, Any] | None:
        """The model's entry for the engine in this release; None where it is not served so."""
        engine = read(self.settings, "engine", str)
        for serving in self.model["engines"]["can_serve"]:
            if serving["engine"] == engine and self.release["name"] in serving["releases"]:
                return dict(serving)
        return None

    @property
    def weights(self) -> int:
        """Bytes of the model's weights as stored, the projector included.

        Of a model that comes both as safetensors and as GGUF only one form is loaded: the larger counts.
        """
        sums = {"gguf": 0, "other": 0}
        for file in self.model["files"]:
            if file["role"] in ("weights", "projector"):
                sums["gguf" if file["path"].endswith(".gguf") else "other"] += file_bytes(file)
        return max(sums.values())


def computes_on(there: Situation) -> Literal["cpu", "cuda"]:
    """Return what the server computes on: what the release is for, or the CPU where that is asked for."""
    asked = read_or_none(there.settings, "device", str)
    return "cuda" if there.release["accelerator"] == "cuda" and asked != "cpu" else "cpu"


def asks_index(there: Situation) -> bool:
    """Return whether packages come from where pip on the host is configured to look, maybe beside others."""
    return "" in (read_or_none(there.settings, "indexes", list) or [""])


def file_bytes(file: dict[str, Any]) -> int:
    """Return a file's size in bytes: exact where known, else as rounded by a hub's page, else 0."""
    return int(file["size"] or file.get("approx_size") or 0)


def model_bytes(model: dict[str, Any]) -> int:
    """Return the bytes of all files of a model."""
    return sum(file_bytes(file) for file in model["files"])


def root_step(there: Situation) -> Step:
    """Say what is to be done about the root folder."""
    root = read(there.settings, "root", str)
    if read(there.facts, "root.exists", bool):
        return Step("root", "keep", f"{root} is there")
    return Step("root", "make", f"{root} does not exist yet")


def environment_step(there: Situation) -> Step:
    """Say what is to be done about the Python environment."""
    wanted = read(there.settings, "desired.environment_lock_sha256", str)
    if not read(there.facts, "installed.environment.present", bool):
        return Step("environment", "make", "there is none yet")
    if read_or_none(there.facts, "installed.environment.lock_sha256", str) == wanted:
        return Step("environment", "keep", "it was built from these lock files")
    return Step("environment", "change", "it was built from other lock files")


def model_step(there: Situation) -> Step:
    """Say what is to be done about the model's files."""
    wanted = read(there.settings, "desired.model_fingerprint", str)
    name = there.model["name"]
    installed = read_or_none(there.facts, "installed.model.name", str)
    if installed not in (None, name):
        return Step("model", "make", f"{installed} is there, {name} is not")
    if not read(there.facts, "installed.model.complete", bool):
        came = read_or_none(there.facts, "installed.model.there_bytes", int) or 0
        why = f"{human_bytes(came)} of it came before: the fetch goes on" if came else "it is not there yet"
        return Step("model", "make", why)
    if read_or_none(there.facts, "installed.model.fingerprint", str) == wanted:
        return Step("model", "keep", "every file is there")
    return Step("model", "change", "the files there are not those of the catalogue")


def service_step(there: Situation, before: list[Step]) -> Step:
    """Say what is to be done about the service; `before` are the steps that it rests on."""
    wanted = read(there.settings, "desired.service_fingerprint", str)
    state = read(there.facts, "installed.service.state", str)
    if state == "absent":
        return Step("service", "make", "there is none yet")
    if state not in ("running", "outdated", "stopped"):
        raise Unreadable("installed.service.state", state)
    if read_or_none(there.facts, "installed.service.fingerprint", str) != wanted:
        return Step("service", "change", "it was set up otherwise")
    renewed = [step.name for step in before if step.action in ("make", "change")]
    if renewed:
        return Step("service", "change", f"restart with the new {' and '.join(renewed)}")
    if state == "outdated":
        return Step("service", "change", "it runs by an earlier definition: restart it")
    if state == "stopped":
        return Step("service", "change", "it is stopped: start it")
    return Step("service", "keep", "it runs as wanted")


def disk_shares(there: Situation, changing: set[str], adopted: bool = False) -> tuple[Share, ...]:
    """Return what will be written below the root, in bytes; a new environment is built beside the old one.

    `adopted`: it is built on a Python that brings PyTorch, and takes less where the release says how much.
    """
    shares = []
    if "environment" in changing:
        size = read_or_none(there.release, "disk.without_torch.environment_bytes", int) if adopted else None
        size = read(there.release, "disk.environment_bytes", int) if size is None else size
        shares.append(Share("environment", size))
        wheels = wheels_bytes(there, adopted)
        if wheels and there.release["accelerator"] == "cuda":
            # They lie there until all of them are installed. A CPU release's fit into the margin.
            shares.append(Share("its wheels meanwhile", wheels))
    if "model" in changing:
        # Each file is allocated whole when its first bytes come.
        taken = read_or_none(there.facts, "installed.model.disk_bytes", int) or 0
        shares.append(Share("model", max(0, model_bytes(there.model) - taken)))
    if shares:
        margin = read_or_none(there.settings, "margin_bytes", int)
        shares.append(Share("margin", DEFAULT_MARGIN if margin is None else margin))
    return tuple(shares)


def wheels_bytes(there: Situation, adopted: bool) -> int | None:
    """Return the bytes of the wheels that a new environment needs, None where nobody knows."""
    of = "disk.without_torch.download_bytes" if adopted else "disk.download_bytes"
    return read_or_none(there.release, of, int)


def fetch_shares(there: Situation, changing: set[str], adopted: bool = False) -> tuple[Share, ...]:
    """Return what travels to the host, in bytes, as far as the catalogue knows it."""
    shares = []
    wheels = wheels_bytes(there, adopted)
    if "environment" in changing and wheels:
        shares.append(Share("wheels", wheels))
    if "model" in changing:
        came = read_or_none(there.facts, "installed.model.there_bytes", int) or 0
        shares.append(Share("model", max(0, model_bytes(there.model) - came)))
    return tuple(shares)


def memory_shares(there: Situation) -> tuple[Share, ...]:
    """Return what the server takes of main memory, in bytes.

    On a CPU, 16-bit weights may be widened to 32 bits, so they count twice (an upper bound); on a GPU the
    weights pass through main memory file by file and are not counted here.
    """
    shares = [Share("server", read(there.release, "memory.process_bytes", int))]
    if computes_on(there) == "cpu":
        wide = there.model["quantisation"]["compute_dtype"] in ("float16", "bfloat16")
        shares.append(Share("weights", there.weights * (2 if wide else 1)))
    return tuple(shares)
