"""What the engine on AWS Lambda is told: which function, and where payloads go that are too large for a call."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cbtool.errors import ConfigError
from cbtool.stores import place
from cbtool.units import parse_size

FUNCTION = "CBTOOL_LAMBDA_FUNCTION"
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "function": str,
    "qualifier": str,
    "region": str,
    "endpoint": str,
    "payloads": str,
    "memory": (str, int),
    "timeout_s": (int, float),
}


@dataclass(frozen=True)
class LambdaSettings:
    """A function, by name or ARN, and what is known of it without asking."""

    function: str
    qualifier: str | None = None
    """A version or an alias."""
    region: str | None = None
    endpoint: str | None = None
    payloads: str | None = None
    """An ``s3://`` prefix that the driver and the function's role may write to, read and empty."""
    memory: int | None = None
    """Bytes; counts where the function's configuration may not be read."""
    timeout_s: float | None = None


def read(config: str | None, environment: Mapping[str, str] = os.environ) -> LambdaSettings:
    """Read the TOML file *config*; without one, the function is what *environment* names."""
    found = _from_file(config) if config is not None else {}
    found.setdefault("function", environment.get(FUNCTION, ""))
    found.setdefault("region", environment.get("AWS_REGION") or None)
    if not found["function"]:
        where = f"{config}: names no function" if config else "lambda: no function is named"
        hint = f'write function = "NAME" into a file for --engine-config, or set {FUNCTION}'
        raise ConfigError(where, hint=hint)
    return LambdaSettings(**found)


def _from_file(path: str) -> dict[str, Any]:
    try:
        found = tomllib.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", hint='it should say: function = "NAME"') from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint='write it as TOML: function = "NAME"') from None
    for name, value in found.items():
        if name not in KINDS:
            raise ConfigError(f"{path}: cannot set {name!r}", hint=f"it can set: {', '.join(KINDS)}")
        if not isinstance(value, KINDS[name]) or isinstance(value, bool):
            raise ConfigError(f"{path}: {name} = {value!r} is of the wrong type")
    if isinstance(found.get("memory"), str):
        found["memory"] = parse_size(found["memory"])
    if "payloads" in found and place(found["payloads"]).scheme != "s3":
        raise ConfigError(f"{path}: payloads = {found['payloads']!r}: not a place in S3", hint="s3://BUCKET/PREFIX")
    return found
