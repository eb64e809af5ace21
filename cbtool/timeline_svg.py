"""The timeline of a run as a picture: a row for every worker, a bar for every attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cbtool import svg
from cbtool.account import Account
from cbtool.measures import ticks
from cbtool.timeline import PARTS, Attempt, Lane
from cbtool.units import show_seconds, show_size

TOP, BOTTOM = 54, 30
TALLEST, ROWS_HEIGHT, LOWEST = 26.0, 960.0, 3.0
LEAST_PX = 1.2
"""Bars are drawn together until they are so wide: no picture has more of them than it has pixels."""
WORDS = {"start": "cold start", "read": "read", "work": "work", "write": "write", "untold": "not told"}


def timeline(of: Account, *, alone: bool = False) -> str:
    """Draw who worked when; each bar is stacked of what its time went to, not of when in it that was."""
    if not of.attempts:
        body = [svg.text(svg.LEFT, TOP, "No attempt has ended yet.")]
        return svg.picture("timeline", TOP + BOTTOM, "Timeline", "No attempt has ended yet.", body, alone=alone)
    row = max(LOWEST, min(TALLEST, ROWS_HEIGHT / len(of.lanes)))
    height = TOP + row * len(of.lanes) + BOTTOM
    body = [svg.legend(_entries(of), svg.LEFT, 16), *_grid(of, row)]
    for number, lane in enumerate(of.lanes):
        body += _lane(of, lane, TOP + number * row, row)
    body += _pauses(of, height)
    words = (
        f"{len(of.attempts)} attempts at {len(of.chunks)} chunks in {len(of.lanes)} rows over "
        f"{show_seconds(of.axis.seconds)}; {len(of.failures)} failed, {len(of.stragglers)} stragglers."
    )
    return svg.picture("timeline", height, "Timeline of the run", words, body, alone=alone)


def _entries(of: Account) -> list[tuple[str, str]]:
    """Return the keys of what is to be seen, and no others."""
    found = [(part, WORDS[part]) for part in PARTS if any(one.parts[part] > 0 for one in of.attempts)]
    if of.stragglers:
        found.append(("slow", "straggler"))
    ends = {one.ended for one in of.attempts}
    found += [("retry", "tried again")] * ("retry" in ends) + [("failed", "failed")] * ("failed" in ends)
    return found


def _x(of: Account, shown_s: float) -> float:
    return svg.LEFT + svg.PLOT * shown_s / (of.axis.seconds or 1.0)


def _grid(of: Account, row: float) -> Iterator[str]:
    bottom = TOP + row * len(of.lanes)
    if row >= 10:
        for number in range(0, len(of.lanes), 2):
            yield svg.box(svg.LEFT, TOP + number * row, svg.PLOT, row, "row")
    for tick in ticks(of.axis.seconds, 8):
        x = _x(of, tick)
        yield svg.line(x, TOP, x, bottom, "grid")
        yield svg.tick_label(x, bottom + 18, show_seconds(tick))
        if bottom - TOP > 500 and not of.axis.pauses:
            yield svg.tick_label(x, TOP - 6, show_seconds(tick))
    yield svg.line(svg.LEFT, bottom, svg.WIDTH - svg.RIGHT, bottom, "axis")
    every = max(1, round(13 / row + 0.49))
    for number in range(0, len(of.lanes), every):
        y = TOP + number * row + row / 2 + 4
        words = svg.tag("title", svg.said(", ".join(of.lanes[number].workers[:20]) or "not known"))
        label = svg.said(_label(of.lanes[number]))
        yield svg.tag("text", words + label, x=svg.LEFT - 8.0, y=float(y), class_="end")


def _label(lane: Lane) -> str:
    """Return the name of a row: the end of its worker's, which tells workers of a host apart."""
    workers = lane.workers
    if len(workers) > 1:
        return f"{len(workers)} workers"
    name = workers[0] if workers else "not known"
    return name if len(name) <= 18 else "…" + name[-17:]


def _lane(of: Account, lane: Lane, y: float, row: float) -> Iterator[str]:
    slow = {(one.attempt.chunk, one.attempt.attempt) for one in of.stragglers}
    gap = 3.0 if row >= 14 else 1.0 if row >= 6 else 0.0
    for group in _groups(of, lane):
        marked = any((one.chunk, one.attempt) in slow and one.ended == "done" for one in group)
        yield _bar(of, group, y + gap, row - 2 * gap, marked)


def _groups(of: Account, lane: Lane) -> Iterator[list[Attempt]]:
    group: list[Attempt] = []
    for one in lane.attempts:
        group.append(one)
        if _x(of, of.axis.place(one.end)) - _x(of, of.axis.place(group[0].appeared)) >= LEAST_PX:
            yield group
            group = []
    if group:
        yield group


def _bar(of: Account, group: Sequence[Attempt], y: float, height: float, slow: bool) -> str:
    left, right = (_x(of, of.axis.place(moment)) for moment in (group[0].appeared, group[-1].end))
    width = max(0.4, right - left)
    parts = {part: sum(one.parts[part] for one in group) for part in PARTS}
    whole, x, drawn = sum(parts.values()) or 1.0, left, []
    ends = {one.ended for one in group}
    for part, seconds in parts.items():
        if seconds:
            drawn.append(svg.box(x, y, width * seconds / whole, height, part))
            x += width * seconds / whole
    inside = "".join(drawn)
    if ends <= {"retry", "failed"}:
        inside = svg.tag("g", inside, class_="faint")
    if slow:
        inside += svg.box(left, y, width, height, "slow")
    number = str(group[0].chunk)
    if len(group) == 1 and height >= 12 and width >= 8 + 7 * len(number) and ends == {"done"}:
        inside += svg.text(left + width / 2, y + height / 2 + 4, number, "on")
    size = max(3.0, min(9.0, height - 2))
    if "failed" in ends:
        inside += svg.failed_mark(max(left + size / 2, right - size / 2 - 2), y + height / 2, size)
    elif "retry" in ends:
        inside += svg.retry_mark(max(left + size / 2, right - size / 2 - 2), y + height / 2, size - 1)
    return svg.tag("g", svg.tag("title", svg.said(_words(group))) + inside)


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


def _pauses(of: Account, height: float) -> Iterator[str]:
    free = 0.0
    for shown, cut in of.axis.pauses:
        x = _x(of, shown)
        yield svg.line(x, TOP - 4, x, height - BOTTOM, "pause")
        words = f"{show_seconds(cut)} pause"
        half = svg.GLYPH * len(words) / 2
        if x - half > free:
            yield svg.text(min(x, svg.WIDTH - half), TOP - 8, words, "middle")
            free = x + half
