"""A plan as a picture: the line that was cut, each chunk as wide as its weight, coloured by its density."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cbtool.chunk import Chunk
from cbtool.report import svg
from cbtool.report.measures import ticks
from cbtool.report.scatter_svg import show_weight
from cbtool.units import show_count, show_size

TOP, BASE, NAMES = 44, 190, 24
"""Where bars may reach, where they stand, and the height of the names of sources below."""
FAINTEST = 0.35
GAP_FROM_PX = 4.0
NAMED_SOURCES = 12


def strip(chunks: Sequence[Chunk], *, alone: bool = False) -> str:
    """Draw where a plan cuts: heights compare the weights, colours the records in a megabyte that is read.

    Where there are more chunks than pixels, the heaviest of those in a pixel is drawn.
    """
    return svg.picture("strip", height(chunks), "Where the plan cuts", words(chunks), body(chunks), alone=alone)


def body(chunks: Sequence[Chunk]) -> list[str]:
    """Return what `strip` draws."""
    heaviest, mean = max(c.weight for c in chunks) or 1, sum(c.weight for c in chunks) / len(chunks)
    return [svg.legend(_entries(chunks, mean), svg.LEFT, 16), *_bars(chunks, heaviest), *_axes(chunks, heaviest, mean)]


def height(chunks: Sequence[Chunk]) -> float:
    return BASE + 30 + NAMES * bool(_spans(chunks))


def words(chunks: Sequence[Chunk]) -> str:
    """Describe the strip to those who do not see it."""
    heaviest, mean = max(c.weight for c in chunks) or 1, sum(c.weight for c in chunks) / len(chunks)
    even = heaviest / mean if mean else 1.0
    return (
        f"{len(chunks)} chunks; the heaviest is {even:.4g} times the mean weight of {show_weight(mean, chunks[0].by)}."
    )


def density(chunk: Chunk) -> float | None:
    """Return the records in each byte that is read; None if records are not known."""
    return chunk.records / chunk.n_bytes if chunk.records is not None and chunk.n_bytes else None


def _entries(chunks: Sequence[Chunk], mean: float) -> list[tuple[str, str]]:
    known = [one for one in map(density, chunks) if one is not None]
    if len(known) == len(chunks) and max(known) > 1.01 * min(known):
        words = f"a chunk; fuller colour: more records in a MB read ({show_count(min(known) * 1e6)} to "
        first = words + f"{show_count(max(known) * 1e6)})"
    else:
        first = "a chunk, as wide and high as its weight"
    return [("chunk", first), ("mean", f"mean, {show_weight(mean, chunks[0].by)}")]


def _bars(chunks: Sequence[Chunk], heaviest: float) -> Iterator[str]:
    total = sum(chunk.weight for chunk in chunks) or 1
    known = [one for one in map(density, chunks) if one is not None]
    low, high = (min(known), max(known)) if len(known) == len(chunks) else (0.0, 0.0)
    before, group, left = 0, list[Chunk](), float(svg.LEFT)
    for chunk in chunks:
        group.append(chunk)
        before += chunk.weight
        right = svg.LEFT + svg.PLOT * before / total
        if right - left < 1.0 and chunk is not chunks[-1]:
            continue
        top = max(group, key=lambda one: one.weight)
        height = (BASE - TOP) * top.weight / heaviest
        gap = 1.0 if right - left >= GAP_FROM_PX else 0.0
        dense = density(top)
        shade = 1.0 if dense is None or high <= 1.01 * low else FAINTEST + (1 - FAINTEST) * (dense - low) / (high - low)
        yield svg.tag(
            "rect",
            svg.tag("title", svg.said(_words(group, top))),
            x=left,
            y=BASE - height,
            width=max(0.4, right - left - gap),
            height=height,
            class_="chunk",
            fill_opacity=shade,
        )
        group, left = [], right


def _words(group: Sequence[Chunk], top: Chunk) -> str:
    said = f"chunk {top.chunk}: {top.name}\n{show_weight(top.weight, top.by)}"
    if top.records is not None:
        said += f", {top.records:,} records"
    said += f"\nreads {show_size(top.n_bytes)} in {top.requests} requests"
    return said if len(group) == 1 else f"the heaviest of chunks {group[0].chunk} to {group[-1].chunk}\n{said}"


def _axes(chunks: Sequence[Chunk], heaviest: float, mean: float) -> Iterator[str]:
    bottom, right = BASE, svg.WIDTH - svg.RIGHT
    total, by = sum(chunk.weight for chunk in chunks), chunks[0].by
    level = bottom - (bottom - TOP) * mean / heaviest
    yield svg.line(svg.LEFT, level, right, level, "mean")
    yield svg.line(svg.LEFT, bottom, right, bottom, "axis")
    yield svg.text(svg.LEFT - 8, TOP + 4, show_weight(heaviest, by), "end")
    yield svg.text(svg.LEFT - 8, bottom + 4, "0", "end")
    for tick in ticks(total, 8):
        x = svg.LEFT + svg.PLOT * tick / (total or 1)
        yield svg.line(x, bottom, x, bottom + 5, "axis")
        yield svg.tick_label(x, bottom + 18, show_size(tick) if by == "bytes" else show_count(tick))
    yield from _sources(chunks, total, bottom + 34)


def _spans(chunks: Sequence[Chunk]) -> dict[str, list[float]]:
    """Return from where to where each source is cut; nothing if there is one, or more than can be named."""
    spans: dict[str, list[float]] = {}
    before = 0
    for chunk in chunks:
        span = spans.setdefault(chunk.sources[0].uri, [before, before])
        before += chunk.weight
        span[1] = before
    return spans if 1 < len(spans) <= NAMED_SOURCES else {}


def _sources(chunks: Sequence[Chunk], total: float, y: float) -> Iterator[str]:
    for uri, (begin, end) in _spans(chunks).items():
        x1, x2 = (svg.LEFT + svg.PLOT * where / (total or 1) for where in (begin, end))
        yield svg.line(x1 + 1, y - 6, x2 - 1, y - 6, "axis")
        room = int((x2 - x1) / svg.GLYPH)
        name = uri.rpartition("/")[2]
        shown = name if len(name) <= room else "…" + name[1 - room :] if room > 3 else ""
        title = svg.tag("title", svg.said(uri))
        yield svg.tag("text", title + svg.said(shown), x=(x1 + x2) / 2, y=y + 8, class_="middle")
