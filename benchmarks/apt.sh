#!/bin/bash
# Install Debian packages for commands that are missing: apt.sh COMMAND[:PACKAGE]...
# Where that cannot be done (not root, no apt-get, no network) it says what is missing, and is content.
set -euo pipefail

absent() { ! command -v "${1%%:*}" >/dev/null; }

packages=()
for one in "$@"; do
    if absent "$one"; then packages+=("${one##*:}"); fi
done
if ((${#packages[@]} == 0)); then exit 0; fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    get=(timeout 300 apt-get -q -o Acquire::Retries=2 -o Acquire::http::Timeout=20)
    { "${get[@]}" update && "${get[@]}" install -y --no-install-recommends "${packages[@]}"; } </dev/null >&2 ||
        echo "apt-get failed" >&2
fi
for one in "$@"; do
    if absent "$one"; then echo "missing: ${one%%:*} (apt-get install ${one##*:})" >&2; fi
done
