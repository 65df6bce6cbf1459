"""The code that runs on hosts, for the controller: both must describe folders and progress files alike."""

from __future__ import annotations

import sys
from pathlib import Path

_MODULE_UTILS = str(Path(__file__).resolve().parent.parent / "plugins" / "module_utils")
if _MODULE_UTILS not in sys.path:
    # It is Ansible's to ship to hosts, so it is no package of the controller's.
    sys.path.append(_MODULE_UTILS)

from sightline_host.disks import LEAST_BYTES, RENTAL  # noqa: E402
from sightline_host.driver import read_driver  # noqa: E402
from sightline_host.folder import Contents, FolderProblem, describe, pack  # noqa: E402
from sightline_host.hardware import read_distribution, read_memory  # noqa: E402
from sightline_host.nvidia_smi import ANSWERED, parse_log, read_log  # noqa: E402
from sightline_host.pci import read_pci  # noqa: E402
from sightline_host.progress import DONE  # noqa: E402
from sightline_host.sent_files import SentProblem, missing_files, put_file, unpack_files  # noqa: E402
from sightline_host.surroundings import read_surroundings  # noqa: E402

__all__ = [
    "ANSWERED",
    "DONE",
    "LEAST_BYTES",
    "RENTAL",
    "Contents",
    "FolderProblem",
    "SentProblem",
    "describe",
    "missing_files",
    "pack",
    "parse_log",
    "put_file",
    "read_distribution",
    "read_driver",
    "read_log",
    "read_memory",
    "read_pci",
    "read_surroundings",
    "unpack_files",
]
