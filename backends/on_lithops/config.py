"""Where Lithops' configuration is found."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cbtool.errors import ConfigError

SYSTEM = Path("/etc/lithops/config")
HINT = "https://lithops-cloud.github.io describes the file; without one Lithops runs on this machine"


def read_config(given: str | None, environment: Mapping[str, str] | None = None) -> tuple[dict[str, Any], str]:
    """Return Lithops' configuration and where it came from: *given*, or else where Lithops itself looks.

    That is ``LITHOPS_CONFIG`` (JSON), ``LITHOPS_CONFIG_FILE``, ``~/.lithops/config``, ``/etc/lithops/config``. The
    ``.lithops_config`` of the working folder, which Lithops takes too, is not read: it may be somebody else's, and
    names endpoints and the program that workers run. ConfigError says what is wrong with a file.
    """
    environment = os.environ if environment is None else environment
    if given is None and environment.get("LITHOPS_CONFIG"):
        return _mapping(_json(environment["LITHOPS_CONFIG"]), "LITHOPS_CONFIG"), "LITHOPS_CONFIG"
    named = given or environment.get("LITHOPS_CONFIG_FILE")
    home = Path(environment.get("HOME") or Path.home()) / ".lithops" / "config"
    for path in [Path(named).expanduser()] if named else [home, SYSTEM]:
        if named or path.exists():
            config = _mapping(_yaml(path), str(path))
            return config or _localhost(), str(path)
    return _localhost(), "none"


def backend_of(config: Mapping[str, Any]) -> str:
    """Return the compute backend that *config* names, or what Lithops takes where it names none."""
    section = config.get("lithops") or {}
    defaults = {"localhost": "localhost", "standalone": "aws_ec2"}
    return str(section.get("backend") or defaults.get(str(section.get("mode")), "aws_lambda"))


def _localhost() -> dict[str, Any]:
    return {"lithops": {"backend": "localhost", "storage": "localhost"}}


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", hint="--engine-config FILE, or LITHOPS_CONFIG_FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}: not YAML: {problem}{where}", hint=HINT) from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"LITHOPS_CONFIG: not JSON: {error}") from None


def _mapping(found: Any, where: str) -> dict[str, Any]:
    if found is None:
        return {}
    wrong = [name for name, section in found.items() if not isinstance(section, dict | None)] if _is_dict(found) else []
    if not _is_dict(found) or wrong:
        what = f"section {wrong[0]!r}" if wrong else "it"
        raise ConfigError(f"{where}: {what} does not hold names and values", hint=HINT)
    return dict(found)


def _is_dict(found: Any) -> bool:
    return isinstance(found, dict)
