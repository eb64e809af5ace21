#!/bin/bash
# Get PDAL to be measured beside: pdal.sh FOLDER puts Debian 11, which still has it, into FOLDER/root, and makes
# FOLDER/pdal, which runs its PDAL (as root) with the working folder as its own: give it relative paths.
# The mirror is the one that apt uses on this machine. Where it cannot be done it says so, and is content.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
root=$folder/root

sorry() {
    echo "missing: pdal ($1)" >&2
    exit 0
}

if [[ ! -x $root/usr/bin/pdal ]]; then
    [[ $(id -u) == 0 ]] || sorry "not root"
    "$(dirname "$0")/apt.sh" debootstrap unshare:util-linux
    command -v debootstrap >/dev/null || sorry "no debootstrap"
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -1)
    [[ -n $mirror ]] || sorry "apt here has no mirror of Debian"
    rm -rf "$root"
    timeout 900 debootstrap --variant=minbase bullseye "$root" "$mirror" >&2 || sorry "debootstrap failed"
    DEBIAN_FRONTEND=noninteractive timeout 600 chroot "$root" \
        sh -c 'apt-get -q update && apt-get -q install -y --no-install-recommends pdal && apt-get clean' </dev/null >&2 ||
        sorry "apt-get failed in $root"
fi
cat >"$folder/pdal" <<'END'
#!/bin/sh
# A mount of its own name space: it ends with the process.
exec unshare --mount sh -c 'mount --bind . "$0/mnt" && exec chroot "$0" sh -c "cd /mnt && exec pdal \"\$@\"" pdal "$@"' \
    "$(dirname "$0")/root" "$@"
END
chmod +x "$folder/pdal"
"$folder/pdal" --version | grep -o 'pdal [0-9.]*'
