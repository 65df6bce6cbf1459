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

MATMUL = """\
import json, torch
torch.manual_seed(7)
a, b = torch.randn(512, 512, dtype=torch.float64), torch.randn(512, 512, dtype=torch.float64)
there = (a.to("cuda") @ b.to("cuda")).cpu()
differ = float((there - a @ b).abs().max())
print(json.dumps({"largest difference": differ, "on": torch.cuda.get_device_name()}))
"""
"""Multiplies two matrices on the GPU and on the CPU, in 64 bits, and prints how far the products differ."""

GPU_SIDE = """\
import json, os, subprocess
def text(path):
    try:
        return open(path).read()
    except OSError:
        return ""
def run(*words):
    try:
        ended = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=60)
        return {"code": ended.returncode, "text": ended.stdout or ended.stderr}
    except (OSError, subprocess.TimeoutExpired) as problem:
        return {"code": None, "text": str(problem)}
parents = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    stat = text("/proc/" + pid + "/stat")
    if stat:
        parents[pid] = stat.rpartition(")")[2].split()[1]
print(json.dumps({
    "module": text("/sys/module/nvidia/version").strip(), "smi": run("nvidia-smi", "-q", "-x"),
    "mounts": text("/proc/self/mounts"), "ledger": text("/var/lib/sightline/host.json"),
    "held": run("apt-mark", "showhold")["text"].split(), "parents": parents,
    "nvcc": run("bash", "-lc", "nvcc --version")["text"]}))
"""
"""Prints what the host says of its GPUs: the kernel module's version, nvidia-smi's list, what Sightline wrote
down about driver and toolkit (seen by root), what is held, nvcc, and each process's parent.
"""

STATUS_OF = """\
import ssl, sys, urllib.error, urllib.request
url, key_path, name = sys.argv[1:4]
headers = {"Host": name} if name else {}
if key_path == "wrong":
    headers["Authorization"] = "Bearer wrong"
elif key_path:
    headers["Authorization"] = "Bearer " + open(key_path).read().strip()
tls = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), tls)
try:
    print(opener.open(urllib.request.Request(url, headers=headers), timeout=15).status)
except urllib.error.HTTPError as answer:
    print(answer.code)
except OSError as problem:
    print("no answer:", getattr(problem, "reason", problem))
"""
"""Prints the HTTP status of a GET; the key is read on the host, so that it is in nobody's process list.

Over TLS it is the host asking itself, under the endpoint's name: its certificate is what prove looks at.
"""
