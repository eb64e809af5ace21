"""Finds the record start nearest to a weight, where an index is there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cbtool import split
from cbtool.partitioners.container import HEAD_LIMIT_BYTES, Place, Span
from cbtool.partitioners.cuts import Track


def nearest(track: Track, target: int, by: str, slack: float) -> Place | None:
    """Return the record start whose weight is nearest to *target*; None if that is the end of the source."""
    assert track.marks
    marks, weights = track.marks, track.marks.weights(by)
    mark = int(split.line(weights, [target])[0])
    if abs(int(weights[mark]) - target) <= slack:
        if marks.start[mark] >= marks.offset[-1]:
            return None
        if place := track.container.at_mark(marks, mark, int(weights[mark])):
            return place
    mark = int(np.searchsorted(weights, target, "right")) - 1
    if mark + 1 >= len(weights):
        return None
    near = target if by == "bytes" else int(np.interp(target, weights[mark : mark + 2], marks.start[mark : mark + 2]))
    for about in (near, None):
        span = track.container.span(track.source, marks, mark, about)
        offsets, records, thirds = starts_in(track, span, mark)
        cumulative = {"bytes": offsets, "records": records}.get(by, thirds)
        if len(cumulative) and cumulative[-1] >= target:
            break
    if slack and span.edges:
        edges = np.unique(np.searchsorted(offsets, [edge.offset for edge in span.edges]))
        edges = edges[edges < len(offsets)]
        best = int(edges[split.line(cumulative[edges], [target])[0]])
        if abs(int(cumulative[best]) - target) > slack:
            best = int(split.line(cumulative, [target])[0])
    else:
        best = int(split.line(cumulative, [target])[0])
    if offsets[best] >= marks.offset[-1]:
        return None
    return track.container.place(span, int(offsets[best]), int(records[best]), int(cumulative[best]))


def ended(data: bytes, newline: bytes) -> bytes:
    r"""Return *data* with a last line that ends as the others do: a scanner tells only records that are whole.

    >>> ended(b"a\r\nb", b"\n")
    b'a\r\nb\r\n'
    """
    if data.endswith(newline):
        return data
    before = data[: max(0, data.rfind(b"\n"))]
    returns = newline == b"\n" and before.endswith(b"\r") and not data.endswith(b"\r")
    return data + b"\r" * returns + newline


def starts_in(track: Track, span: Span, mark: int) -> Iterator[np.ndarray]:
    """Yield offset, ordinal and third weight of the record starts in *span*, from *mark*'s on.

    Where the span is whole, to the next mark's, which is included.
    """
    assert track.marks
    marks = track.marks
    first = int(marks.start[mark])
    data = span.data[max(0, first - span.offset) :]
    if span.whole and marks.start[mark + 1] == marks.offset[-1]:
        data = ended(data, track.grammar.newline)
    found = track.grammar.scanner(track.source.uri).feed(data)
    end = marks.start[mark + 1] if span.whole else span.edges[-1].offset + HEAD_LIMIT_BYTES
    inside = found.offset + first < end
    for values, base, column in (
        (found.offset, first, marks.start),
        (np.arange(len(found.offset)), int(marks.record[mark]), marks.record),
        (found.weight, int(marks.third[mark]), marks.third),
    ):
        yield np.append(values[inside] + base, column[mark + 1 : mark + 1 + span.whole])
