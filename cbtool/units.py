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
    while n_bytes >= 999.5 and power < 4:
        n_bytes, power = n_bytes / 1000, power + 1
    return f"{n_bytes:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def show_seconds(seconds: float) -> str:
    """Return a length of time as people say it.

    >>> [show_seconds(s) for s in (0, 0.00213, 1.5, 59.96, 200, 7385, 200000)]
    ['0 s', '2.13 ms', '1.5 s', '1 min', '3 min 20 s', '2 h 3 min', '2 d 7 h']
    """
    if seconds < 59.95:
        return f"{seconds:.3g} s" if seconds >= 0.1 or not seconds else f"{seconds * 1000:.3g} ms"
    whole = round(seconds)
    for above, name, unit, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= above:
            rest = whole % above // unit
            return f"{whole // above} {name}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def show_count(count: float) -> str:
    """Return a number of things in three digits.

    >>> show_count(950), show_count(12345), show_count(2.5e6)
    ('950', '12.3 k', '2.5 M')
    """
    power = 0
    while count >= 999.5 and power < 4:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {('', 'k', 'M', 'G', 'T')[power]}".rstrip()


def show_cost(usd: float | None) -> str:
    """Return a cost, small ones too.

    >>> show_cost(None), show_cost(0.0000321), show_cost(12.5)
    ('-', '$0.0000321', '$12.50')
    """
    if usd is None:
        return "-"
    return f"${usd:.2f}" if usd >= 1 or not usd else "$" + f"{usd:.12f}"[: 2 + _places(usd)].rstrip("0").rstrip(".")


def _places(usd: float) -> int:
    """Return how many decimal places show three digits of a cost below 1."""
    return next((n for n in range(1, 13) if usd * 10**n >= 1), 12) + 2
