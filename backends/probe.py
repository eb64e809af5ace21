"""What a worker can do, asked before the work begins: its versions, what it can import and run, what it can reach."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from typing import Any

from cbtool.destination import open_destination
from cbtool.errors import ConfigError, NotAllowed, UsageError
from cbtool.source import open_source
from cbtool.stagers.function import unpack

CALL = "cbtool.backends.probe:look"


def look(task: Mapping[str, Any]) -> dict[str, Any]:
    """Check what *task* names, each key optional; return the worker's versions.

    ``cbtool`` and ``python``: the versions that must be here; ``modules`` to import; ``commands`` to find;
    ``function``, packed, to unpack; ``source`` (``uri``, ``version``) to open; ``destination`` and ``mark`` to write
    and remove there. ConfigError says what is missing, and the errors of storage are raised as they are.
    """
    found = versions()
    for name, wanted in task.get("versions", {}).items():
        if found[name] != wanted:
            raise ConfigError(
                f"the worker has {name} {found[name]}, this side {wanted}", hint="give both the same version"
            )
    for module in task.get("modules", ()):
        _imported(lambda module=module: import_module(module))
    if "function" in task:
        _imported(lambda: unpack(task["function"]))
    for command in task.get("commands", ()):
        if shutil.which(command) is None:
            raise UsageError(f"{command}: no such command on the worker", hint="put it into what the worker runs in")
    if "source" in task:
        open_source(task["source"]["uri"], version=task["source"]["version"], unversioned=True).close()
    if "destination" in task:
        destination = open_destination(task["destination"])
        destination.replace(task["mark"], [b"cbtool looked whether it may write here\n"])
        # A run deletes nothing, so a worker need not be allowed to.
        with suppress(NotAllowed):
            destination.delete(task["mark"])
    return found


def versions() -> dict[str, str]:
    """Return the versions that must be the same on both sides: a function of one Python is not another's."""
    return {"cbtool": version("cbtool"), "python": ".".join(platform.python_version_tuple()[:2])}


def _imported(load: Any) -> None:
    try:
        load()
    except ImportError as error:
        hint = "install it where the workers are"
        raise ConfigError(f"the worker lacks a package: {error}", hint=hint, missing=error.name) from error
