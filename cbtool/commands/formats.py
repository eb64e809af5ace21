"""``cbtool formats`` and ``cbtool backends``: what there is."""

from __future__ import annotations

from cbtool.commands import options as o


def formats(as_json: o.Json = False) -> None:
    """List the formats, and what to install for those that cannot be used yet.

    \b
    Examples:
      cbtool formats
      cbtool formats --json
    """
    _list("partitioners", as_json)


def backends(as_json: o.Json = False) -> None:
    """List the engines, and what to install for those that cannot be used yet.

    \b
    Examples:
      cbtool backends
    """
    _list("backends", as_json)


def _list(kind: str, as_json: bool) -> None:
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
