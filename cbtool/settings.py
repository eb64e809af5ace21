"""Defaults of options from ``cbtool.toml``: below flags and ``CBTOOL_*``, above what is built in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cbtool.errors import ConfigError

HARMLESS: dict[str, type | tuple[type, ...]] = {
    "backend": str,
    "chunks": (int, str),
    "index-to": str,
    "prices": str,
    "quiet": bool,
    "retries": int,
    "scratch": str,
    "size": str,
    "timeout": (int, float),
    "workers": int,
}
"""What a file may set. No endpoint and no command: a working folder may be somebody else's."""


def defaults(config: str | None) -> dict[str, Any]:
    """Return defaults by parameter name, from *config* or else from the user's file and the working folder's."""
    found: dict[str, Any] = {}
    for path in [Path(config)] if config else [_user_file(), Path("cbtool.toml")]:
        found |= _read(path, must_exist=bool(config))
    return found


def _user_file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "cbtool" / "cbtool.toml"


def _read(path: Path, must_exist: bool) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"{path}: no such file") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    import tomllib

    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    for name, value in settings.items():
        if name not in HARMLESS:
            raise ConfigError(f"{path}: cannot set {name!r}", hint=f"it can set: {', '.join(HARMLESS)}")
        if not isinstance(value, HARMLESS[name]) or (isinstance(value, bool) and HARMLESS[name] is not bool):
            raise ConfigError(f"{path}: {name} = {value!r} is of the wrong type")
    return {name.replace("-", "_"): str(value) if name == "chunks" else value for name, value in settings.items()}


def fitting(settings: dict[str, Any], args: Sequence[str]) -> dict[str, Any]:
    """Leave out how to cut where the command line says it: there is one way to cut, and flags come first.

    >>> fitting({"size": "64MB", "workers": 2}, ["reads.fq", "-n4"])
    {'workers': 2}
    """
    cuts = any(arg.startswith(("-n", "--chunks", "--size", "--records", "--budget", "--deadline")) for arg in args)
    return {name: value for name, value in settings.items() if not (cuts and name in ("chunks", "size"))}
