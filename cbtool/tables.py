"""What commands print: a table for people at a terminal, JSON Lines for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import typer

from cbtool.units import show_size


def show_facts(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print facts of one thing: a line each on a terminal, else one JSON object on a line."""
    if as_json or not sys.stdout.isatty():
        typer.echo(json.dumps(facts))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if name.endswith("_bytes") and isinstance(value, int):
            value = f"{value:,} ({show_size(value)})"
        elif isinstance(value, int) and not isinstance(value, bool):
            value = f"{value:,}"
        typer.echo(f"{name.removesuffix('_bytes').replace('_', ' '):{width}}  {value}")


def show_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows that share their fields: a table on a terminal, else a JSON object a line."""
    if as_json or not sys.stdout.isatty():
        for row in rows:
            typer.echo(json.dumps(row))
        return
    table = [list(rows[0]), *([_cell(value) for value in facts.values()] for facts in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        typer.echo("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)
