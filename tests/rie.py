"""Takes AWS's emulator of the Lambda runtime interface, one binary, out of their wheel: ``rie.py WHEEL TARGET``.

Tests that need it are skipped where it is not there; in CI they fail.
"""

from __future__ import annotations

import os
import platform
import sys
import zipfile
from pathlib import Path

import pytest

BINARY = Path(__file__).parents[1] / ".venv" / "rie"


def unpack(wheel: str, target: str) -> None:
    """Write the emulator for this machine from *wheel* to *target*."""
    kind = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    with zipfile.ZipFile(wheel) as file:
        data = file.read(f"samcli/local/rapid/aws-lambda-rie-{kind}")
    Path(target).write_bytes(data)
    os.chmod(target, 0o755)


def emulator() -> Path:
    """Return where the emulator is, or skip the test."""
    if not BINARY.exists():
        if os.environ.get("CI"):
            pytest.fail("the Lambda emulator is not there: make .venv/rie")
        pytest.skip("AWS's Lambda emulator is not there: make .venv/rie")
    pytest.importorskip("awslambdaric")
    return BINARY


if __name__ == "__main__":
    unpack(*sys.argv[1:])
