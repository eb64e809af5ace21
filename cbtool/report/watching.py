"""Text that is drawn again in its place on a terminal; off one, a line whenever it changes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

ROOM = 20
"""How many lines are drawn on a terminal; the rest is counted."""


@contextmanager
def redrawn(stream: TextIO | None = None, *, one_at_a_time: bool = False) -> Iterator[Callable[[Sequence[str]], None]]:
    """Give a function that shows lines in place of those that it showed before; at the end they are wiped away.

    Off a terminal, and with *one_at_a_time*, it writes the first line, if it is another than before.
    """
    out = stream or sys.stdout
    if one_at_a_time or not out.isatty():
        last = [""]

        def write(lines: Sequence[str]) -> None:
            if lines[0] != last[0]:
                last[0] = lines[0]
                out.write(lines[0] + "\n")
                out.flush()

        yield write
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(file=out), auto_refresh=False, transient=True) as live:

        def draw(lines: Sequence[str]) -> None:
            more = [f"and {len(lines) - ROOM} more lines"] * (len(lines) > ROOM)
            live.update(Text("\n".join([*lines[:ROOM], *more]), no_wrap=True), refresh=True)

        yield draw
