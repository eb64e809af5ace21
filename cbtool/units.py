"""Sizes as people write and read them."""

from __future__ import annotations

import re

from cbtool.errors import UsageError

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def parse_size(text: str) -> int:
    """Return a size in bytes: ``64MB`` is decimal, ``64MiB`` binary.

    >>> parse_size("64MB"), parse_size("1.5GiB"), parse_size("300k")
    (64000000, 1610612736, 300000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?\s*", text, re.IGNORECASE)
    if not match:
        raise UsageError(f"{text!r} is not a size", hint="like 64MB, 64MiB, 1.5G")
    unit = (match[2] or "").title()
    size = int(float(match[1]) * UNITS[unit])
    if size < 1:
        raise UsageError(f"{text!r}: a size must be at least one byte")
    return size


def show_size(n_bytes: float) -> str:
    """Return a size in decimal units, three digits of it.

    >>> show_size(1075273495), show_size(12)
    ('1.08 GB', '12 B')
    """
    power = 0
    while n_bytes >= 1000 and power < 4:
        n_bytes, power = n_bytes / 1000, power + 1
    return f"{n_bytes:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
