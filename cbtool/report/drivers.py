"""The programs that drive a run, as each says of itself in ``DEST/.cbtool/driver-TOKEN.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cbtool.destination import Destination
from cbtool.report.measures import measure

BEATS = 3
"""How many beats a driver may miss before it is taken for gone."""


@dataclass(frozen=True)
class Beat:
    """What a driver said of itself last; times are seconds since the epoch, by its own clock."""

    backend: str
    workers: int
    began: float
    at: float
    """Its last beat."""
    every_s: float
    ended: str | None = None
    """``done``, ``failed``, ``stopped``; None while it runs, or if it was killed."""
    host: str = ""
    pid: int = 0
    running: Mapping[int, float] = field(default_factory=dict)
    """The chunks under way and since when."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    predicted: Mapping[str, Any] = field(default_factory=dict)

    def is_alive(self, now: float) -> bool:
        """Say whether it has not ended and its last beat is fresh."""
        return self.ended is None and self.at + BEATS * self.every_s > now


def parse(fields: Mapping[str, Any]) -> Beat:
    """Read what a driver says of itself; what is missing or makes no sense is left out."""
    running = _mapping(fields.get("running"))
    return Beat(
        backend=str(fields.get("backend") or "?"),
        workers=int(measure(fields.get("workers")) or 0),
        began=measure(fields.get("began")) or 0.0,
        at=measure(fields.get("at")) or 0.0,
        every_s=measure(fields.get("every_s")) or 0.0,
        ended=str(fields["ended"]) if fields.get("ended") else None,
        host=str(fields.get("host") or ""),
        pid=int(measure(fields.get("pid")) or 0),
        running={int(chunk): measure(since) or 0.0 for chunk, since in running.items() if chunk.isdecimal()},
        limits=_mapping(fields.get("limits")),
        predicted=_mapping(fields.get("predicted")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def drivers(destination: Destination, prefix: str = ".cbtool/driver-") -> list[Beat]:
    """Return the drivers of the run on *destination*, in the order in which they began."""
    found = []
    for name, _ in destination.names(prefix):
        try:
            fields = json.loads(destination.read(name) or b"")
        except ValueError:
            # A driver's word about itself is for people only; a damaged one says nothing.
            continue
        if isinstance(fields, dict):
            found.append(parse(fields))
    return sorted(found, key=lambda driver: (driver.began, driver.host, driver.pid))
