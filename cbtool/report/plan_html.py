"""A plan as an HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cbtool.chunk import Chunk
from cbtool.plan import Plan
from cbtool.report.map_svg import STYLE as MAP_STYLE
from cbtool.report.map_svg import plane_map
from cbtool.report.page import LISTED, details, figures, page, table
from cbtool.report.picture import facts
from cbtool.report.plan_svg import strip
from cbtool.report.plane import Plane, plane_of
from cbtool.report.scatter_svg import show_weight
from cbtool.report.svg import said, tag
from cbtool.units import show_count, show_size

if TYPE_CHECKING:
    from cbtool.density import Raster


def plan_page(plan: Plan, workers: int = 1, raster: Raster | None = None) -> str:
    """Return a page that shows a plan, and what it predicts for *workers*; *raster* makes the map of a plane finer."""
    plane = plane_of(plan)
    known = facts(plan, workers, plane, raster)
    chunks: Sequence[Chunk] = list(plan)
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
        figures(_figures(known)),
        tag("h2", "Where it cuts"),
        *(_map(chunks, plane, raster) if plane is not None else ()),
        tag("div", strip(chunks), class_="scroll"),
        details(f"The {len(listed)} heaviest chunks" if len(listed) < len(chunks) else "Chunks", table(listed)),
    ]
    return page(f"Plan of {_sources(chunks)}", body, "" if plane is None else MAP_STYLE)


def _map(chunks: Sequence[Chunk], plane: Plane, raster: Raster | None) -> tuple[str, str]:
    return tag("div", plane_map(chunks, plane, raster), class_="scroll"), tag("h2", "Their weights")


def _figures(known: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the large numbers of a page from a plan's facts."""
    by, n_sources = known["by"], f"{known['sources']:,}"
    on_plane = "fixed_grid_tiles" in known
    yield "chunks", f"{known['chunks']:,}", known["format"] + (f", sources: {n_sources}" if on_plane else "")
    yield "max over mean", _ratio(known["max_over_mean"]), f"by {by}; CV {_ratio(known['cv'])}"
    if on_plane:
        tiles, where = known["fixed_grid_tiles"], known["fixed_grid_from"]
        told = f"max over mean of {tiles:,} even tiles" + (", guessed from the plan" if where == "plan" else "")
        yield "fixed grid", _ratio(known["fixed_grid_max_over_mean"]), told
    workers = known["workers"]
    yield "makespan", _ratio(known["makespan"]), f"times the ideal on {workers:,} worker{'s' * (workers != 1)}"
    lightest = (show_size if by == "bytes" else show_count)(known["weight_min"])
    heaviest = show_weight(known["weight_max"], by)
    yield "weight of a chunk", show_weight(known["weight_median"], by), f"median; {lightest} to {heaviest}"
    records = "-" if known["records"] is None else f"{known['records']:,}"
    yield "records", records, "" if known["exact"] else "not exact"
    yield "to read", show_size(known["read_bytes"]), ""
    yield "requests", f"{known['requests']:,}", f"{known['requests'] / known['chunks']:.3g} a chunk"
    if not on_plane:
        yield "sources", n_sources, ""


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _sources(chunks: Sequence[Chunk]) -> str:
    uris = list(dict.fromkeys(source.uri for chunk in chunks for source in chunk.sources))
    return uris[0].rpartition("/")[2] + (f" and {len(uris) - 1} more" if len(uris) > 1 else "")
