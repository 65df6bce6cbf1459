"""Small programs that the checks run on the host with the engine's own Python: a bare host has no curl
and no ss.
"""

from __future__ import annotations

INSTALLED = """\
import importlib.metadata as metadata, json, os, platform, sys
names, outside, prefix = {}, [], os.path.realpath(sys.prefix) + os.sep
for item in metadata.distributions():
    name = item.metadata["Name"]
    if name and name not in names:
        names[name] = item.version
        if not (os.path.realpath(item.locate_file("")) + os.sep).startswith(prefix):
            outside.append(name)
stamp = os.path.join(sys.prefix, ".sightline.json")
brought = json.load(open(stamp)).get("brought", {}) if os.path.exists(stamp) else {}
version = ".".join(platform.python_version_tuple()[:2])
print(json.dumps({"installed": names, "outside": outside, "brought": brought, "markers": {
    "python_version": version, "python_full_version": platform.python_version(), "os_name": os.name,
    "sys_platform": sys.platform, "platform_machine": platform.machine(), "platform_system":
    platform.system(),
    "platform_python_implementation": platform.python_implementation(),
    "implementation_name": sys.implementation.name, "platform_release": platform.release(),
    "platform_version": platform.version(), "implementation_version": platform.python_version()}}))
"""
"""Prints what this Python would import (each name once, as the first folder on its path has it), which of
these lie outside of its environment, what the environment's stamp says that another Python brings, and the
PEP 508 markers that a lock file is read by.
"""

TORCH = """\
import json, torch
cudnn = torch.backends.cudnn.version()
print(json.dumps({"torch": torch.__version__, "CUDA": torch.version.cuda, "cuDNN": cudnn}))
"""
"""Prints what PyTorch says of itself and of the libraries that it has loaded; it needs no GPU for that."""

STATUS_OF = """\
import sys, urllib.error, urllib.request
url, key_path = sys.argv[1], sys.argv[2]
headers = {}
if key_path == "wrong":
    headers["Authorization"] = "Bearer wrong"
elif key_path:
    headers["Authorization"] = "Bearer " + open(key_path).read().strip()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(urllib.request.Request(url, headers=headers), timeout=15).status)
except urllib.error.HTTPError as answer:
    print(answer.code)
except OSError as problem:
    print("no answer:", getattr(problem, "reason", problem))
"""
"""Prints the HTTP status of a GET; the key is read on the host, so that it is in nobody's process list."""
