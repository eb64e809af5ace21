"""What is typed on the command line, made into values: without pydantic where nothing needs it.

Typer imports it for the value of any parameter, a word that stays as it is among them; that takes longer than to
import Typer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

DIGITS = re.compile(r"[0-9]{1,18}")


class Plain:
    """Stands in the place of Typer's converter of a parameter, and calls it for what is not plain."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return *value* as *param* wants it: as it is if it is a word, or words; a number if it is its digits."""
        wanted = param.type_descriptor
        kind = wanted.annotation
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if kind is str and isinstance(value, str):
            return value
        if kind == list[str] and isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
            return list(value)
        if kind is int and not wanted.is_ranged and isinstance(value, str) and DIGITS.fullmatch(value):
            return int(value)
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def plainly(params: Sequence[Any]) -> list[Any]:
    """Return *params*, whose plain values are now taken without pydantic. A Typer without converters ignores it."""
    for param in params:
        param._runtime_param = Plain()
    return list(params)
