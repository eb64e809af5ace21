"""The extras of cbtool: which there are, and which are installed here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from cbtool.errors import UsageError

NOT_FOR_WORKERS = ("all", "dask", "lambda", "lithops", "plot", "ray")
"""Those of the driver; an engine adds its own."""
EXTRA = re.compile(r"^([A-Za-z0-9._-]+).*;.*extra == ['\"]([^'\"]+)['\"]")


def named() -> list[str]:
    """Return the extras that workers may need."""
    return sorted(set(metadata("cbtool").get_all("Provides-Extra") or ()) - set(NOT_FOR_WORKERS))


def installed() -> list[str]:
    """Return those of them of which every package is here."""
    packages: dict[str, list[str]] = {name: [] for name in named()}
    for line in requires("cbtool") or ():
        if (found := EXTRA.match(line)) and found[2] in packages:
            packages[found[2]].append(found[1])
    return [extra for extra, names in packages.items() if all(_is_here(name) for name in names)]


def checked(extras: Sequence[str]) -> list[str]:
    """Return *extras*; UsageError if one is none."""
    wanted = [extra for extra in extras if extra]
    if unknown := sorted(set(wanted) - set(named())):
        raise UsageError(f"no extra is called {unknown[0]!r}", hint=f"there are: {', '.join(named())}")
    return wanted


def _is_here(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
