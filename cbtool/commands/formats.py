"""``cbtool formats``: what there is."""

from __future__ import annotations

from cbtool.commands import options as o


def formats(as_json: o.Json = False) -> None:
    """List the formats, and what to install for those that cannot be used yet.

    \b
    Examples:
      cbtool formats
      cbtool formats --json
    """
    list_entries("partitioners", as_json)


def list_entries(kind: str, as_json: bool) -> None:
    """Print the *kind* ("partitioners", "backends") that there are, and what each lacks."""
    from cbtool.errors import ConfigError
    from cbtool.registry import entries, load
    from cbtool.tables import show_rows

    rows = []
    for name, entry in entries(kind):
        try:
            load(kind, name)
            state = "ready"
        except ConfigError as error:
            state = error.hint or str(error)
        rows.append({"name": name, "state": state, "suffixes": " ".join(entry.suffixes), "what": entry.summary})
    show_rows(rows, as_json)
