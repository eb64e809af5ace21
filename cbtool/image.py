"""What the workers of an engine run in: each backend's module may know that of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from inspect import signature

from cbtool.errors import UsageError
from cbtool.registry import load


def written(name: str, extras: Sequence[str], folder: str, config: str | None) -> tuple[str, str]:
    """Return the Dockerfile for *name*'s workers with *extras* of cbtool, and the commands to give in *folder* next.

    They are what ``dockerfile(extras)`` and ``next_step(folder)`` return, two functions of the backend's module; both
    may take the engine's own *config* besides. UsageError if the backend has none.
    """
    module = sys.modules[load("backends", name).__module__]
    if not (hasattr(module, "dockerfile") and hasattr(module, "next_step")):
        raise UsageError(f"{name}: its workers need no image", hint=f"cbtool backends check {name}")
    if config is None:
        return module.dockerfile(extras), module.next_step(folder)
    if len(signature(module.dockerfile).parameters) < 2:
        raise UsageError(f"{name}: what its workers run in does not depend on --engine-config", hint="leave it out")
    return module.dockerfile(extras, config), module.next_step(folder, config)
