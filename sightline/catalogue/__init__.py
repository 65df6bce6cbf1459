"""The catalogue: facts about models and releases, checked, without any knowledge of hosts.

>>> from sightline.catalogue import load_model
>>> load_model("canary")["source"]["path"]
'canary/weights'
"""

from sightline.catalogue.entries import (
    CATALOGUE,
    catalogue_problems,
    entry_problems,
    files_fingerprint,
    load_model,
    load_release,
    missing_facts,
    names,
)
from sightline.catalogue.errors import CatalogueError, Problem
from sightline.catalogue.folder import folder_files, folder_problems, stamp

__all__ = [
    "CATALOGUE",
    "CatalogueError",
    "Problem",
    "catalogue_problems",
    "entry_problems",
    "files_fingerprint",
    "folder_files",
    "folder_problems",
    "load_model",
    "load_release",
    "missing_facts",
    "names",
    "stamp",
]
