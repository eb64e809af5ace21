"""The timeline of a run as a picture: a row for every worker, a bar for every attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from cbtool.report import svg
from cbtool.report.account import Account
from cbtool.report.measures import ticks
from cbtool.report.timeline import PARTS, Attempt, Lane
from cbtool.units import show_seconds, show_size

ABOVE, LABELS, BOTTOM = 34, 20, 30
"""Heights of the legend, of a row of labels below it where there is one, and of the axis."""
TALLEST, ROWS_HEIGHT, LOWEST = 26.0, 960.0, 3.0
LABEL_PX = 13
LABELS_FROM_PX = 500
"""Rows that together are higher have the axis labelled above them too."""
LEAST_PX = 1.2
"""Bars are drawn together until they are so wide: no picture has more of them than it has pixels."""
MOST_BARS = 6000
"""Of more attempts than that, bars are drawn together until there are about so many."""
WORDS = {"start": "cold start", "read": "read", "work": "work", "write": "write", "untold": "not told"}


def timeline(of: Account, *, alone: bool = False) -> str:
    """Draw who worked when; each bar is stacked of what its time went to, not of when in it that was."""
    if not of.attempts:
        body = [svg.text(svg.LEFT, ABOVE, "No attempt has ended yet.")]
        return svg.picture("timeline", ABOVE + BOTTOM, "Timeline", "No attempt has ended yet.", body, alone=alone)
    plot = _Plot(of)
    body = [svg.legend(_entries(of), svg.LEFT, 16), *plot.grid(), *plot.labels()]
    for number, lane in enumerate(of.lanes):
        body += plot.lane(lane, plot.top + number * plot.row)
    words = (
        f"{len(of.attempts)} attempts at {len(of.chunks)} chunks in {len(of.lanes)} rows over "
        f"{show_seconds(of.axis.seconds)}; {len(of.failures)} failed, {len(of.stragglers)} stragglers."
    )
    body += plot.pauses()
    return svg.picture("timeline", plot.bottom + BOTTOM, "Timeline of the run", words, body, alone=alone)


def _entries(of: Account) -> list[tuple[str, str]]:
    """Return the keys of what is to be seen, and no others."""
    found = [(part, WORDS[part]) for part in PARTS if any(one.parts[part] > 0 for one in of.attempts)]
    if of.stragglers:
        found.append(("slow", "straggler"))
    ends = {one.ended for one in of.attempts}
    found += [("retry", "tried again")] * ("retry" in ends) + [("failed", "failed")] * ("failed" in ends)
    return found


class _Plot:
    """Where rows and moments lie in the picture."""

    def __init__(self, of: Account) -> None:
        self.of = of
        self.row = max(LOWEST, min(TALLEST, ROWS_HEIGHT / len(of.lanes)))
        self.tall = self.row * len(of.lanes) > LABELS_FROM_PX
        self.top = ABOVE + LABELS * (self.tall or bool(of.axis.pauses))
        self.bottom = self.top + self.row * len(of.lanes)
        many = len(of.attempts) > MOST_BARS
        self.least = max(LEAST_PX, svg.PLOT * len(of.lanes) / MOST_BARS) if many else LEAST_PX
        self.slow = {id(one.attempt) for one in of.stragglers}

    def x(self, moment: float) -> float:
        return self.place(self.of.axis.place(moment))

    def place(self, shown_s: float) -> float:
        return svg.LEFT + svg.PLOT * shown_s / (self.of.axis.seconds or 1.0)

    def grid(self) -> Iterator[str]:
        if self.row >= 10:
            for number in range(0, len(self.of.lanes), 2):
                yield svg.box(svg.LEFT, self.top + number * self.row, svg.PLOT, self.row, "row")
        for tick in ticks(self.of.axis.seconds, 8):
            x = self.place(tick)
            yield svg.line(x, self.top, x, self.bottom, "grid")
            yield svg.tick_label(x, self.bottom + 18, show_seconds(tick))
            if self.tall and not self.of.axis.pauses:
                yield svg.tick_label(x, self.top - 6, show_seconds(tick))
        yield svg.line(svg.LEFT, self.bottom, svg.WIDTH - svg.RIGHT, self.bottom, "axis")

    def labels(self) -> Iterator[str]:
        """Name the rows, or as many of them as there is room for."""
        for number in range(0, len(self.of.lanes), max(1, ceil(LABEL_PX / self.row))):
            lane = self.of.lanes[number]
            words = svg.tag("title", svg.said(", ".join(lane.workers[:20]) or "not known"))
            y = self.top + (number + 0.5) * self.row + 4
            yield svg.tag("text", words + svg.said(_label(lane)), x=svg.LEFT - 8.0, y=y, class_="end")

    def lane(self, lane: Lane, y: float) -> Iterator[str]:
        """Draw the bars of a row, and above all of them the marks."""
        gap = 3.0 if self.row >= 14 else 1.0 if self.row >= 6 else 0.0
        groups = list(self.groups(lane))
        for group in groups:
            yield self.bar(group, y + gap, self.row - 2 * gap)
        for group in groups:
            yield from self.marks(group, y + gap, self.row - 2 * gap)

    def groups(self, lane: Lane) -> Iterator[list[Attempt]]:
        group: list[Attempt] = []
        for one in lane.attempts:
            group.append(one)
            if self.x(one.end) - self.x(group[0].appeared) >= self.least:
                yield group
                group = []
        if group:
            yield group

    def bar(self, group: Sequence[Attempt], y: float, height: float) -> str:
        left, right = self.x(group[0].appeared), self.x(group[-1].end)
        width = max(0.4, right - left)
        parts = {part: sum(one.parts[part] for one in group) for part in PARTS}
        whole, x, drawn = sum(parts.values()) or 1.0, left, []
        for part, seconds in parts.items():
            if seconds:
                drawn.append(svg.box(x, y, width * seconds / whole, height, part))
                x += width * seconds / whole
        inside = "".join(drawn)
        if all(one.ended in ("retry", "failed") for one in group):
            inside = svg.tag("g", inside, class_="faint")
        number, begin = str(group[0].chunk), self.x(group[0].began)
        if len(group) == 1 and height >= 12 and right - begin >= 8 + 7 * len(number) and group[0].ended == "done":
            inside += svg.text((begin + right) / 2, y + height / 2 + 4, number, "on")
        return svg.tag("g", svg.tag("title", svg.said(_words(group))) + inside)

    def marks(self, group: Sequence[Attempt], y: float, height: float) -> Iterator[str]:
        begin, right = self.x(group[0].began), self.x(group[-1].end)
        if any(id(one) in self.slow for one in group):
            yield svg.box(begin, y, max(0.4, right - begin), height, "slow")
        ends = {one.ended for one in group}
        size = max(3.0, min(9.0, height - 2))
        x = max(begin + size / 2, right - size / 2 - 2)
        if "failed" in ends:
            yield svg.failed_mark(x, y + height / 2, size)
        elif "retry" in ends:
            yield svg.retry_mark(x, y + height / 2, size - 1)

    def pauses(self) -> Iterator[str]:
        """Mark where time was cut out, and say how much of it: of the longest ones, where there is room."""
        named: list[tuple[float, float]] = []
        for shown, cut in sorted(self.of.axis.pauses, key=lambda pause: -pause[1]):
            x, words = self.place(shown), f"{show_seconds(cut)} pause"
            half = svg.GLYPH * len(words) / 2 + 4
            yield svg.line(x, self.top - 4, x, self.bottom, "pause")
            if all(abs(x - other) > half + reach for other, reach in named):
                yield svg.text(min(x, svg.WIDTH - half), self.top - 8, words, "middle")
                named.append((x, half))


def _label(lane: Lane) -> str:
    """Return the name of a row: the end of its worker's, which tells workers of a host apart."""
    workers = lane.workers
    if len(workers) > 1:
        return f"{len(workers)} workers"
    name = workers[0] if workers else "not known"
    return name if len(name) <= 18 else "…" + name[-17:]


def _words(group: Sequence[Attempt]) -> str:
    if len(group) > 1:
        return f"{len(group)} attempts, chunks {min(o.chunk for o in group)} to {max(o.chunk for o in group)}"
    (one,) = group
    ended = {"done": "done", "retry": "failed, tried again"}.get(one.ended, one.ended)
    spent = ", ".join(f"{WORDS[part]} {show_seconds(one.parts[part])}" for part in PARTS if one.parts[part])
    said = f"chunk {one.chunk}, attempt {one.attempt}: {ended} in {show_seconds(one.wall_s)}\n{spent}"
    if one.spent("read_bytes"):
        said += f"\n{show_size(one.spent('read_bytes'))} read in {int(one.spent('requests'))} requests"
    return (
        said + (f"\n{one.worker}" if one.worker else "") + (f"\n{one.record['error']}" if "error" in one.record else "")
    )
