# The least that a deployment of the canary on a fresh Debian can do: the same packages by the same means, one after the
# other, the server started and its model loaded; nothing is checked, kept for later, or made to survive a restart.
# Run on the host in the folder that bench unpacked there; says how long each part took, in seconds.
set -eu
part() { # part NAME COMMAND…
  name=$1; shift; began=$(date +%s.%N)
  "$@" >>log 2>&1 || { tail -n 5 log; echo "the bare commands failed at: $name"; exit 1; }
  echo "$name $began $(date +%s.%N)"
}
pip() { env/bin/python -m pip install --no-input --disable-pip-version-check --require-hashes --only-binary :all: "$@"; }
# Within a part `set -e` has no say: its commands are joined by &&.
packages() {
  apt-get update -q &&
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv
}
environment() {
  python3 -m venv env &&
    pip --requirement requirements/pip.lock.txt &&
    pip --no-deps --requirement requirements/torch-cpu.lock.txt &&
    pip --requirement requirements/engine-cpu.lock.txt
}
serve() {
  (umask 077 && head -c 24 /dev/urandom | base64 >key) || return 1
  PYTHONPATH=serve HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=1 \
    env/bin/python -m sightline_serve --model canary/weights --served-model-name canary \
    --host 127.0.0.1 --port 8642 --api-key-file key </dev/null >server.log 2>&1 &
  server=$!
  until python3 -c 'import urllib.request as r; r.urlopen("http://127.0.0.1:8642/ready", timeout=10)' 2>/dev/null; do
    kill -0 "$server" || return 1
    sleep 0.2
  done
}
part packages packages
part environment environment
part serve serve
