"""The rows of the table: what was wanted, what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One claim. *found* is to be at least (or, if *at_most*, at most) *wanted*; None where a peer is missing.

    It is not a number where cbtool itself failed.
    """

    work: str
    peer: str
    measure: str
    ours: str
    theirs: str
    found: float | None
    wanted: float | None
    at_most: bool = False
    unit: str = "x"

    @property
    def verdict(self) -> str:
        if self.found is None:
            return "missing"
        if self.wanted is None:
            return "-"
        return "pass" if (self.found <= self.wanted if self.at_most else self.found >= self.wanted) else "FAIL"

    def cells(self) -> list[str]:
        sign = "<=" if self.at_most else ">="
        found = "" if self.found is None or math.isnan(self.found) else f"{self.found:.3g} {self.unit}"
        wanted = "" if self.wanted is None else f"{sign} {self.wanted:g} {self.unit}"
        cells = [self.work, self.peer, self.measure, self.ours, self.theirs, found, wanted, self.verdict]
        return [cell.replace("|", "\\|") for cell in cells]


HEAD = ["work", "peer", "measure", "cbtool", "peer's", "found", "wanted", ""]


def markdown(rows: Sequence[Row]) -> str:
    """Return *rows* as a table that reads well as text and as Markdown."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    drawn = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "|" + "|".join("-" * (width + 2) for width in widths)
    return "\n".join([drawn[0] + " |", rule + "|", *(line + " |" for line in drawn[1:])])
