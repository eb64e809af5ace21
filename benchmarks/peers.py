"""The programs that cbtool is measured beside: which are here, of what version, and how to get the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = {
    "wc": ("coreutils", "--version"),
    "gzip": ("gzip", "--version"),
    "pigz": ("pigz", "--version"),
    "gztool": ("gztool", "-h"),
    "bgzip": ("tabix", "--version"),
    "rapidgzip": ("pip:rapidgzip", "--version"),
}
"""Command: its Debian package (or Python's), and the option that makes it tell its version."""


def prepare(install: bool) -> dict[str, str | None]:
    """Return the version of each peer, None where it is missing; with *install*, get missing ones by apt first."""
    # What came with this Python, as rapidgzip, is found whether or not its environment is the active one.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if install:
        wanted = [f"{name}:{package}" for name, (package, _) in PEERS.items() if not package.startswith("pip:")]
        subprocess.run([Path(__file__).with_name("apt.sh"), *wanted], check=True)
    return {name: _version(name, option) for name, (_, option) in PEERS.items()}


def _version(name: str, option: str) -> str | None:
    if shutil.which(name) is None:
        return None
    told = subprocess.run([name, option], capture_output=True, text=True)
    lines = [line.strip() for line in (told.stdout + told.stderr).splitlines() if any(map(str.isdigit, line))]
    return lines[0] if lines else "unknown"
