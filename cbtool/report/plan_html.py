"""A plan as an HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from cbtool.chunk import Chunk
from cbtool.plan import Plan
from cbtool.report.page import LISTED, details, figures, page, table
from cbtool.report.picture import facts
from cbtool.report.plan_svg import strip
from cbtool.report.scatter_svg import show_weight
from cbtool.report.svg import said, tag
from cbtool.units import show_size


def plan_page(plan: Plan) -> str:
    """Return a page that shows a plan."""
    known = facts(plan)
    chunks: Sequence[Chunk] = list(plan)
    large = [
        ("chunks", f"{known['chunks']:,}", known["format"]),
        ("max over mean", f"{known['max_over_mean']:.4g}", f"by {known['by']}"),
        ("weight of a chunk", show_weight(known["weight_median"], known["by"]), "median"),
        (
            "records",
            "-" if known["records"] is None else f"{known['records']:,}",
            "" if known["exact"] else "not exact",
        ),
        (
            "heaviest",
            show_weight(known["weight_max"], known["by"]),
            show_weight(known["weight_min"], known["by"]) + " the lightest",
        ),
        ("to read", show_size(known["read_bytes"]), ""),
        ("requests", f"{known['requests']:,}", f"{known['requests'] / known['chunks']:.3g} a chunk"),
        ("sources", f"{known['sources']:,}", ""),
    ]
    heaviest = sorted(chunks, key=lambda one: (-one.weight, one.chunk))[:LISTED]
    listed = [
        {
            "chunk": one.chunk,
            "name": one.name,
            "weight": show_weight(one.weight, one.by),
            "records": one.records,
            "read": show_size(one.n_bytes),
            "requests": one.requests,
        }
        for one in heaviest
    ]
    body = [
        tag("h1", said(f"Plan of {_sources(chunks)}")),
        tag("p", f"plan {tag('code', said(plan.id))}", class_="soft"),
        figures(large),
        tag("h2", "Where it cuts"),
        tag("div", strip(chunks), class_="scroll"),
        details(f"The {len(listed)} heaviest chunks" if len(listed) < len(chunks) else "Chunks", table(listed)),
    ]
    return page(f"Plan of {_sources(chunks)}", body)


def _sources(chunks: Sequence[Chunk]) -> str:
    uris = list(dict.fromkeys(source.uri for chunk in chunks for source in chunk.sources))
    return uris[0].rpartition("/")[2] + (f" and {len(uris) - 1} more" if len(uris) > 1 else "")
