"""The code that runs on hosts, for the controller: both must describe folders and progress files alike."""

from __future__ import annotations

import sys
from pathlib import Path

_MODULE_UTILS = str(Path(__file__).resolve().parent.parent / "plugins" / "module_utils")
if _MODULE_UTILS not in sys.path:
    # It is Ansible's to ship to hosts, so it is no package of the controller's.
    sys.path.append(_MODULE_UTILS)

from sightline_host.folder import Contents, FolderProblem, describe, pack  # noqa: E402
from sightline_host.progress import DONE  # noqa: E402

__all__ = ["DONE", "Contents", "FolderProblem", "describe", "pack"]
