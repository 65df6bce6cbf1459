"""What a person sees of an entry."""

from __future__ import annotations

from sightline.catalogue.entries import Entry, load_model, load_release, missing_facts, names
from sightline.plan.render import human_bytes, table
from sightline.plan.situation import file_bytes


def overview() -> str:
    """Return all models and releases as two tables."""
    models = [("model", "bytes", "can be fetched", "what it is")]
    for name in names("model"):
        model = load_model(name)
        missing = missing_facts(model)
        models.append(
            (name, _size(model), f"no: {len(missing)} unknown" if missing else "yes", model["title"])
        )
    releases = [("release", "can be built", "run here", "what it is")]
    for name in names("release"):
        release = load_release(name)
        run = {"checked_here": "yes", "checked_on_cpu": "on a CPU"}.get(
            release["tested_together"]["status"], "no"
        )
        releases.append((name, "yes" if release["lock_files"] else "no: no lock file", run, release["title"]))
    return "\n".join([*table(models), "", *table(releases)])


def _size(model: Entry) -> str:
    total = sum(file_bytes(file) for file in model["files"])
    exact = all(file["size"] for file in model["files"])
    return human_bytes(total) if exact else f"about {human_bytes(total)}"


def model_text(model: Entry) -> str:
    """Return one model: where from, how large, who serves it, and what was checked."""
    source = model["source"]
    place = source.get("path") or f"{source['repo']} at {source['commit'] or 'an unknown commit'}"
    lines = [f"{model['title']}: {model['summary']}", "", f"  source    {place}"]
    lines.append(f"  files     {len(model['files'])}, {_size(model)}")
    lines.append(f"  licence   {model['licence']['id'] or 'unknown'}{_gate(model)}")
    for serving in model["engines"]["can_serve"]:
        where = ", ".join(serving["releases"]) or "no release of this kit yet"
        lines.append(f"  engine    {serving['engine']} ({where}); {serving['status']}")
    for other in model["engines"]["cannot_serve"]:
        lines.append(f"  not       {other['engine']}: {other['why']}")
    lines += ["", *_provenance(model)]
    missing = missing_facts(model)
    lines += ["", f"It cannot be deployed yet; not known: {', '.join(missing)}."] if missing else []
    return "\n".join(lines)


def release_text(release: Entry) -> str:
    """Return one release: its bill of materials and what was checked."""
    lines = [f"{release['title']}: {release['summary']}", ""]
    lines.append(f"  Python    >= {release['python']['minimum']}, < {release['python']['below']}")
    if release["driver"]:
        lines.append(f"  driver    >= {release['driver']['floor']}")
        lines.append(f"  CUDA      {release['cuda']}, cuDNN {release['cudnn']}")
    lines += [f"  package   {name} {version or 'unknown'}" for name, version in release["packages"].items()]
    lines += [f"  lock      {lock}" for lock in release["lock_files"]] or [
        "  lock      none yet: cannot be deployed"
    ]
    tested = release["tested_together"]
    lines += [f"  together  {tested['status']}: {tested['evidence']}", "", *_provenance(release)]
    return "\n".join(lines)


def _gate(model: Entry) -> str:
    return {True: ", gated: needs an account and a token", False: ", not gated"}.get(
        model["licence"]["gated"], ", gated or not is not known"
    )


def _provenance(entry: Entry) -> list[str]:
    rows = [("fact", "checked", "who says so")]
    for group, said in entry["provenance"].items():
        unknown = f" (unknown: {', '.join(said['unknown'][:4])})" if "unknown" in said else ""
        if len(said.get("unknown", ())) > 4:
            unknown = f" ({len(said['unknown'])} unknown)"
        rows.append((group, said["status"], said["source"] + unknown))
    return [f"  {line}" for line in table(rows)]
