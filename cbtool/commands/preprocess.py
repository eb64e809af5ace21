"""``cbtool preprocess``: what can be made of data before it is worked with; each has a command of its own."""

from __future__ import annotations

from cbtool.commands import options as o


def preprocess(as_json: o.Json = False) -> None:
    """Make data ready to be worked with: `cbtool preprocess NAME SRC... -o DEST`. Without NAME, list what there is.

    \b
    Names (NAME --help says more):
      terrain   DSM, DTM, CHM, slope, aspect and canopy cover of a point cloud

    \b
    Examples:
      cbtool preprocess
      cbtool preprocess terrain 'tiles/*.laz' --resolution 1m -o terrain/
    """
    from cbtool.registry import entries
    from cbtool.tables import show_rows

    show_rows([{"name": name, "what": entry.summary} for name, entry in entries("preprocessors")], as_json)
