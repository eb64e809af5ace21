"""The time of every chunk against its weight, as a picture."""

from __future__ import annotations

from collections.abc import Iterator

from cbtool.report import svg
from cbtool.report.account import Account
from cbtool.report.measures import LEAST_SPREAD, Fit, ticks
from cbtool.report.timeline import Attempt
from cbtool.units import show_count, show_seconds, show_size

HEIGHT, TOP, BOTTOM = 360, 40, 52
LABELLED = 8


def scatter(of: Account, *, alone: bool = False) -> str:
    """Draw seconds against weight, with the line of least squares.

    Where all weights are nearly alike, they are drawn by their place in the plan instead: a plan that is even says
    nothing of what weight costs, but late chunks and slow stretches show.
    """
    tried = [one for one in of.attempts if of.weights.get(one.chunk)]
    if not tried:
        body = [svg.text(svg.LEFT, TOP, "No chunk has been tried yet.")]
        return svg.picture("scatter", TOP + 30, "Time against weight", "Nothing yet.", body, alone=alone)
    plot = _Plot(of, tried)
    body = [svg.legend(plot.entries(), svg.LEFT, 16), *plot.grid(), *plot.points()]
    if of.fit:
        body.append(plot.fit(of.fit))
    words = f"{len(of.done)} chunks done. " + (
        describe(of.fit, of.by) if of.fit else "Weights are too alike, or too few, for a fit."
    )
    return svg.picture("scatter", HEIGHT, f"Time of a chunk against its {of.by}", words, body, alone=alone)


def describe(line: Fit, by: str) -> str:
    """Return a fit in words: what every chunk costs, and what its weight costs."""
    per = f"1 s per {show_weight(1 / line.slope, by)}" if line.slope > 0 else "no more for more"
    return f"{show_seconds(max(0.0, line.base))} + {per}, R² {line.r2:.2f}"


def show_weight(weight: float, by: str) -> str:
    """Return a weight with what it counts."""
    return show_size(weight) if by == "bytes" else f"{show_count(weight)} {by}"


class _Plot:
    """Where seconds and weights (or places in the plan) lie in the picture; all begin at 0."""

    def __init__(self, of: Account, tried: list[Attempt]) -> None:
        self.of, self.tried = of, tried
        weights = [of.weights[one.chunk] for one in tried]
        self.alike = max(weights) <= LEAST_SPREAD * min(weights)
        self.high = max(one.chunk for one in tried) + 1.0 if self.alike else max(weights) * 1.02
        self.top = max(one.wall_s for one in tried) * 1.08 or 1.0

    def x(self, value: float) -> float:
        return svg.LEFT + svg.PLOT * value / self.high

    def value(self, one: Attempt) -> float:
        """Return what lies below an attempt: the weight of its chunk, or the number."""
        return one.chunk + 0.5 if self.alike else self.of.weights[one.chunk]

    def y(self, seconds: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * seconds / self.top

    def entries(self) -> list[tuple[str, str]]:
        ends = {one.ended for one in self.tried}
        found = [("point", "done")] * ("done" in ends) + [("retry", "tried again")] * ("retry" in ends)
        found += [("failed", "failed")] * ("failed" in ends)
        return found + ([("fit", describe(self.of.fit, self.of.by))] if self.of.fit else [])

    def grid(self) -> Iterator[str]:
        right, bottom = svg.WIDTH - svg.RIGHT, HEIGHT - BOTTOM
        for tick in ticks(self.top, 5):
            yield svg.line(svg.LEFT, self.y(tick), right, self.y(tick), "grid")
            yield svg.text(svg.LEFT - 8, self.y(tick) + 4, show_seconds(tick), "end")
        for tick in ticks(self.high - self.alike, 6):
            if self.alike and tick != int(tick):
                continue
            count = f"{tick:,.0f}" if self.alike else show_count(tick)
            words = show_size(tick) if self.of.by == "bytes" and not self.alike else count
            yield svg.tick_label(self.x(tick + 0.5 * self.alike), bottom + 18, words)
        yield svg.line(svg.LEFT, bottom, right, bottom, "axis")
        below = f"number of the chunk; their {self.of.by} are alike" if self.alike else f"weight ({self.of.by})"
        yield svg.text(svg.LEFT + svg.PLOT / 2, bottom + 40, below, "middle")

    def points(self) -> Iterator[str]:
        drawn = set()
        named: list[tuple[float, float]] = []
        labels = {id(one.attempt) for one in self.of.stragglers[:LABELLED]}
        for one in self.tried:
            x, y = self.x(self.value(one)), self.y(one.wall_s)
            if (place := (round(x), round(y), one.ended)) in drawn:
                continue
            drawn.add(place)
            mark = {"failed": svg.failed_mark(x, y, 8), "retry": svg.retry_mark(x, y, 8)}.get(one.ended)
            title = svg.tag("title", svg.said(f"chunk {one.chunk}, attempt {one.attempt}: {show_seconds(one.wall_s)}"))
            yield svg.tag("g", title + (mark or svg.tag("circle", cx=x, cy=y, r=4, class_="point")))
            if id(one) in labels and all(abs(x - a) > 70 or abs(y - b) > 13 for a, b in named):
                named.append((x, y))
                side, kind = (-8, "strong end") if x > svg.WIDTH - 120 else (8, "strong")
                yield svg.text(x + side, y + 4, f"chunk {one.chunk}", kind)

    def fit(self, line: Fit) -> str:
        """Draw the line, as far as it lies within the plot."""
        reach = [0.0, self.high]
        if line.slope:
            reach = sorted(min(max((s - line.base) / line.slope, 0.0), self.high) for s in (0.0, self.top))
        (x1, y1), (x2, y2) = ((self.x(w), self.y(line.base + line.slope * w)) for w in reach)
        return svg.line(x1, y1, x2, y2, "fit")
