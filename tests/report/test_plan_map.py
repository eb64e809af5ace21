"""Plans over a plane: what is said of their balance, and that pictures of them show what they hold, where it is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool import split
from cbtool.chunk import Chunk
from cbtool.density import Raster
from cbtool.errors import FormatError
from cbtool.plan import Plan
from cbtool.report import map_svg, map_text, ramp
from cbtool.report.balance import against_grid, makespan, predicted, spread
from cbtool.report.measures import labelled_ticks
from cbtool.report.picture import facts
from cbtool.report.plan_html import plan_page
from cbtool.report.plane import Plane, densities, owners, plane_of
from tests.report.test_report import HOSTILE, drawn, of_class, parsed
from tests.runs import planned

SCALE, OFFSET = [0.01, 0.01, 0.001], [500_000.0, 4_000_000.0, 0.0]


def boxed(boxes: Sequence[Sequence[int]], weights: Sequence[int], **more: Any) -> list[Chunk]:
    """Return chunks by points that have *boxes*, of a centimetre."""
    recipe = {"reach": more.pop("reach")} if "reach" in more else {}
    made = [planned(number, len(boxes), weight, weight) for number, weight in enumerate(weights)]
    return [
        replace(
            one,
            by="points",
            core={"box": list(box), "scale": SCALE, "offset": OFFSET, **more},
            recipe=recipe,
        )
        for one, box in zip(made, boxes, strict=True)
    ]


def plane(chunks: Sequence[Chunk]) -> Plane:
    found = plane_of(chunks)
    assert found is not None
    return found


QUARTERS = [(0, 0, 1000, 1000), (0, 1000, 1000, 3000), (1000, 0, 4000, 1000), (1000, 1000, 4000, 3000)]
WEIGHTS = [900, 200, 300, 60]
"""9, 1, 1 and 0.1 in a square unit."""
FOUR = boxed(QUARTERS, WEIGHTS)


def raster(seed: int = 1, shape: tuple[int, int] = (40, 30)) -> Raster:
    """Return cells over the four boxes, of which a tenth are empty."""
    rng = np.random.default_rng(seed)
    counts = np.rint(rng.lognormal(2, 1.5, shape)).astype(np.int64) * (rng.random(shape) > 0.1)
    edges = [np.arange(n + 1) * (length // n) for n, length in zip(shape, (4000, 3000), strict=True)]
    return Raster(counts, edges[0], edges[1], "points")


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_the_heaviest_are_begun_first() -> None:
    # Graham's worst case for three workers: 11 where 9 would do; in the order given it would be 9 too.
    assert makespan([5, 5, 4, 4, 3, 3, 3], 3) == 11
    assert predicted([5, 5, 4, 4, 3, 3, 3], 3) == {
        "workers": 3,
        "makespan": round(11 / 9, 4),
        "makespan_chunks": round(11 / (27 / 7), 4),
        "efficiency": round(9 / 11, 4),
    }


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(1, 8))
def test_a_makespan_is_within_its_bounds(weights: list[int], workers: int) -> None:
    least = max(max(weights), sum(weights) / workers)
    assert least - 1e-6 <= makespan(weights, workers) <= sum(weights) / workers + max(weights) + 1e-6


def test_weights_of_nothing_have_no_balance() -> None:
    assert spread([0, 0]) == {"max_over_mean": None, "min_over_mean": None, "cv": None}
    assert predicted([0], 4)["makespan"] is None
    assert facts(Plan([planned(0, 1, 0, 0)]), 2)["efficiency"] is None


def test_the_facts_of_any_plan_have_its_balance() -> None:
    found = facts(Plan([planned(k, 4, weight) for k, weight in enumerate((100, 200, 300, 200))]), 2)
    assert (found["max_over_mean"], found["min_over_mean"], found["cv"]) == (1.5, 0.5, round(0.125**0.5, 4))
    assert (found["workers"], found["makespan"], found["efficiency"]) == (2, 1.0, 1.0)
    assert "fixed_grid_tiles" not in found


def test_a_fixed_grid_is_taken_from_the_raster() -> None:
    cells = raster()
    weights = [leaf.weight for leaf in split.grid(cells.counts, 12)]
    assert against_grid(plane(FOUR), cells, 12, 3) == {
        "fixed_grid_tiles": len(weights),
        "fixed_grid_max_over_mean": spread(weights)["max_over_mean"],
        "fixed_grid_makespan": predicted(weights, 3)["makespan"],
        "fixed_grid_from": "index",
    }


def test_a_fixed_grid_is_guessed_from_the_plan_as_if_chunks_were_even() -> None:
    # Four by three tiles, each a square of ten units.
    found = against_grid(plane(FOUR), None, 12, 3)
    tiles = [900, 100, 100] + [100, 10, 10] * 3
    assert found["fixed_grid_tiles"] == 12 and found["fixed_grid_from"] == "plan"
    assert found["fixed_grid_max_over_mean"] == spread(tiles)["max_over_mean"]


# --- where things are ------------------------------------------------------------------------------------------------


def test_a_plan_without_boxes_is_no_plane() -> None:
    assert plane_of([planned(0, 1)]) is None
    assert plane_of([FOUR[0], planned(1, 2)]) is None


def test_chunks_that_share_a_box_are_one_tile() -> None:
    chunks = boxed([QUARTERS[0], QUARTERS[0], QUARTERS[1]], [10, 11, 5])
    first, second = plane(chunks).tiles
    assert ([one.chunk for one in first.chunks], first.amount, first.area) == ([0, 1], 21, 100.0)
    assert first.density == 0.21 and second.density == pytest.approx(0.025)


def test_of_a_plan_by_bytes_records_are_counted() -> None:
    found = plane([replace(one, by="bytes", weight=7) for one in FOUR])
    assert found.of == "records" and [tile.amount for tile in found.tiles] == WEIGHTS
    unknown = plane([replace(one, by="bytes", weight=7, records=None) for one in FOUR])
    assert unknown.of == "bytes" and unknown.tiles[0].amount == 7


@pytest.mark.parametrize(
    "core",
    [
        {"box": [0, 0, 1]},
        {"box": "0,0,1,1"},
        {"box": [0, 0, 0, 5]},
        {"box": [5, 0, 0, 5]},
        {"box": [0, 0, 1.5, 5]},
        {"box": [0, 0, True, 5]},
        {"box": [0, 0, 10**30, 5]},
        {"scale": None},
        {"scale": [0.0, 0.01]},
        {"scale": [float("nan"), 0.01]},
        {"scale": [1e-200, 1e-200]},
        {"scale": ["1", "1"]},
        {"offset": [1]},
        {"offset": [float("inf"), 0]},
        {"scale": [0.5, 0.5]},
    ],
)
def test_a_core_that_makes_no_sense_is_refused(core: dict[str, Any]) -> None:
    chunks = [*FOUR[:3], replace(FOUR[3], core={**(FOUR[3].core or {}), **core})]
    with pytest.raises(FormatError, match="chunk 3: its core is not a box"):
        plane_of(chunks)


@given(st.integers(1, 30), st.integers(1, 30), st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True))
def test_a_pixel_is_of_the_tile_that_has_its_middle(n_x: int, n_y: int, edges: list[int]) -> None:
    edges = sorted(edges)
    boxes = [(a, -7, b, 4) for a, b in zip(edges, edges[1:], strict=False)]
    found = owners(plane(boxed(boxes, [1] * len(boxes))), n_x, n_y)
    for i, j in product(range(n_x), range(n_y)):
        middle = 2 * n_x * edges[0] + (2 * i + 1) * (edges[-1] - edges[0])  # in units of 1 / (2 n_x)
        assert boxes[found[i, j]][0] * 2 * n_x <= middle < boxes[found[i, j]][2] * 2 * n_x


@pytest.mark.parametrize("size", [(4, 3), (7, 5), (40, 30), (200, 173)])
def test_densities_add_up_to_what_there_is(size: tuple[int, int]) -> None:
    cells = raster()
    pixel = 40.0 / size[0] * (30.0 / size[1])
    found = densities(plane(FOUR), cells, *size)
    assert found.shape == size and float(found.sum()) * pixel == pytest.approx(int(cells.counts.sum()))


def test_without_a_raster_pixels_have_the_density_of_their_tile() -> None:
    found = densities(plane(FOUR), None, 4, 3)
    assert found.T.tolist() == [pytest.approx(row) for row in ([9, 1, 1, 1], [1, 0.1, 0.1, 0.1], [1, 0.1, 0.1, 0.1])]


# --- colours ---------------------------------------------------------------------------------------------------------


def luminance(rgb: Sequence[int]) -> float:
    """Return the relative luminance of WCAG 2."""
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


@pytest.mark.parametrize(("theme", "sign"), [("light", -1), ("dark", 1), ("terminal", 1)])
def test_steps_are_told_apart_by_their_lightness_alone(theme: str, sign: int) -> None:
    light = [luminance(one) + 0.05 for one in ramp.colours(theme)]
    assert all((b / a) ** sign > 1.07 for a, b in zip(light, light[1:], strict=False))


def test_steps_of_256_colours_grow_lighter_too() -> None:
    levels = (0, 95, 135, 175, 215, 255)
    numbers = [number - 16 for number in map_text.PALETTE[: ramp.STEPS]]
    light = [luminance([levels[n // 36], levels[n // 6 % 6], levels[n % 6]]) for n in numbers]
    assert light == sorted(light) and len(set(light)) == ramp.STEPS


def test_steps_are_even_on_a_log_scale() -> None:
    steps = ramp.Ramp(1.0, 512.0)
    assert [steps.step(2.0**k * 1.01) for k in range(-3, 12)] == [0, 0, 0, *range(9), 8, 8, 8]
    assert [round(steps.edge(k)) for k in (0, 3, 9)] == [1, 8, 512]


def test_what_is_alike_has_one_colour() -> None:
    steps = ramp.ramp_of([2.0, 2.0, 0.0])
    assert steps is not None and steps.step(2.0) == 4
    assert ramp.ramp_of([0.0]) is None


def test_ticks_between_coordinates() -> None:
    assert [words for _, words in labelled_ticks(635_589.01, 641_000, 3)] == ["636,000", "638,000", "640,000"]
    assert [words for _, words in labelled_ticks(-0.25, 0.25, 4)] == ["-0.2", "0.0", "0.2"]
    assert len(labelled_ticks(885_001.4, 885_230, 1)) >= 1


# --- pictures --------------------------------------------------------------------------------------------------------


def svg_of(chunks: Sequence[Chunk], cells: Raster | None = None) -> list[ET.Element]:
    return drawn(map_svg.plane_map(chunks, plane(chunks), cells, alone=True))


def outlines(path: ET.Element) -> list[tuple[float, ...]]:
    """Return the (x, y, width, height) of the boxes of a path."""
    found = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z", path.get("d") or "")
    return [tuple(map(float, one)) for one in found]


def test_boxes_lie_as_in_the_world_with_the_colours_of_their_density() -> None:
    elements = svg_of(FOUR)
    fills = {one.get("class"): outlines(one) for one in elements if one.tag.endswith("path") and one.get("class")}
    (densest,), middling, (sparsest,) = fills["d8"], fills["d4"], fills["d0"]
    assert len(middling) == 2
    # North is up, east is right: the densest lies in the south west.
    assert densest[0] < sparsest[0] and densest[1] > sparsest[1]
    assert sparsest[2] == pytest.approx(3 * densest[2], abs=0.05)
    assert sparsest[3] == pytest.approx(2 * densest[3], abs=0.05)
    assert sorted(outlines(of_class(elements, "border")[0])) == sorted([densest, *middling, sparsest])


def test_an_axis_that_counts_backwards_is_turned() -> None:
    turned = [replace(one, core={**(one.core or {}), "scale": [-0.01, -0.01, 1]}) for one in FOUR]
    fills = {one.get("class"): outlines(one) for one in svg_of(turned) if one.tag.endswith("path")}
    (densest,), (sparsest,) = fills["d8"], fills["d0"]
    assert densest[0] > sparsest[0] and densest[1] < sparsest[1]


def test_each_box_says_what_it_is() -> None:
    chunks = boxed([QUARTERS[0], QUARTERS[0], QUARTERS[1]], [1000, 1500, 500])
    titles = [(one[0].text or "").splitlines() for one in of_class(svg_of(chunks), "at")]
    assert titles == [
        [
            "2 chunks, 0 to 1, share this box",
            "2.5 k points, 2,500 records",
            "25 points in a square unit",
            "reads 625 B in 2 requests",
        ],
        [
            "chunk 2: reads-00002.fastq",
            "500 points, 500 records",
            "2.5 points in a square unit",
            "reads 125 B in 1 requests",
        ],
    ]
    words = [one.text for one in svg_of(chunks)]
    assert "0 ×2" in words and "2 boxes; some of several chunks (×N): 3 chunks" in words


def test_what_chunks_reach_over_is_dashed() -> None:
    elements = svg_of(boxed(QUARTERS, WEIGHTS, reach=[100, 200]))
    for one in of_class(elements, "at"):
        _, core, reach = one
        x, y, width, height = (float(core.get(name) or 0) for name in ("x", "y", "width", "height"))
        pixels = x - float(reach.get("x") or 0), y - float(reach.get("y") or 0)
        assert pixels[1] == pytest.approx(2 * pixels[0], abs=0.05) and pixels[0] > 5
        assert float(reach.get("width") or 0) == pytest.approx(width + 2 * pixels[0], abs=0.05)
        assert float(reach.get("height") or 0) == pytest.approx(height + 2 * pixels[1], abs=0.05)
    assert any("overlap of 1 units dashed" in (one.text or "") for one in elements)


def test_an_overlap_too_narrow_to_be_seen_is_told() -> None:
    elements = svg_of(boxed(QUARTERS, WEIGHTS, reach=[1, 1]))
    assert not of_class(elements, "reach")
    assert any("overlap of 0.01 units, not drawn" in (one.text or "") for one in elements)


def test_a_raster_is_drawn_below_the_borders() -> None:
    cells = raster(shape=(200, 150))
    elements = svg_of(FOUR, cells)
    (group,) = of_class(elements, "cells")
    assert [one.get("class") for one in group] == [f"r{step}" for step in range(ramp.STEPS)]
    # As many pixels as hold four points each: the square root along the longer side.
    n_x = min(256, round((int(cells.counts.sum()) / 4) ** 0.5))
    shown = densities(plane(FOUR), cells, n_x, round(n_x * 0.75))
    covered = sum(int(length) for path in group for length in re.findall(r"h(\d+)", path.get("d") or ""))
    assert covered == int((shown > 0).sum())
    order = [one.get("class") for one in elements]
    assert order.index("cells") < order.index("border") and "d0" not in order[order.index("cells") :]


def test_five_thousand_chunks_make_no_large_picture() -> None:
    boxes = [(x, y, x + 100, y + 50) for x, y in product(range(0, 5000, 100), range(0, 5000, 50))]
    chunks = boxed(boxes, [1 + number * 7919 % 5000 for number in range(5000)], reach=[500, 500])
    assert len(boxes) == 5000
    picture = map_svg.plane_map(chunks, plane(chunks), None, alone=True)
    assert len(picture) < 3_000_000 and len(plan_page(Plan(chunks))) < 3_000_000
    assert len(of_class(drawn(picture), "at")) == 5000 and not of_class(drawn(picture), "number")


@pytest.mark.parametrize(
    "boxes", [[(0, 0, 1, 1)], [(0, 0, 10**9, 1)], [(-(2**31), 0, -(2**31) + 3, 10**9)]], ids=["point", "wide", "tall"]
)
@pytest.mark.parametrize("weight", [0, 1])
def test_the_oddest_planes_are_drawn(boxes: list[tuple[int, int, int, int]], weight: int) -> None:
    chunks = boxed(boxes, [weight])
    for one in svg_of(chunks):
        if one.tag.endswith("rect") and one.get("x"):
            assert 0 <= float(one.get("x") or 0) <= 1040 and float(one.get("width") or 0) > 0
    parsed(plan_page(Plan(chunks)))
    assert map_text.plane_map(plane(chunks), None, "true", 60)


def test_a_page_has_the_map_the_weights_and_the_numbers() -> None:
    page = plan_page(Plan(FOUR), 2, raster())
    assert page == plan_page(Plan(FOUR), 2, raster())
    words = " ".join(parsed(page).words)
    for said in ("Where it cuts", "Their weights", "fixed grid", "makespan", "times the ideal on 2 workers"):
        assert said in words, said
    assert 'id="map-title"' in page and 'id="strip-title"' in page


def test_words_of_a_plan_are_text_and_nothing_else() -> None:
    chunks = [replace(one, by=HOSTILE) for one in FOUR]
    parsed(plan_page(Plan(chunks)))
    drawn(map_svg.plane_map(chunks, plane(chunks), None, alone=True).replace("//evil", ""))
    lines = map_text.plane_map(plane(chunks), None, "none", 40)
    assert "]]> &" in lines[-2]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", "".join(lines))


# --- in text ---------------------------------------------------------------------------------------------------------


def test_a_map_in_characters() -> None:
    *lines, key, about = map_text.plane_map(plane(FOUR), None, "none", 24)
    assert lines == [
        "ooooo|..................",
        "ooooo|..................",
        "ooooo|..................",
        "ooooo|..................",
        "ooooo|..................",
        "-----+------------------",
        "@@@@@|oooooooooooooooooo",
        "@@@@@|oooooooooooooooooo",
        "@@@@@|oooooooooooooooooo",
    ]
    assert key == "0.1 .:;coa08@ 9 points in a square unit of the CRS, log scale"
    assert about == "4 boxes on 40 x 30 units, from 500,000 4,000,000"


@pytest.mark.parametrize("colour", ["true", "256"])
def test_a_map_in_colour_is_as_wide_and_ends_as_it_began(colour: map_text.Colour) -> None:
    *lines, key, _ = map_text.plane_map(plane(FOUR), raster(), colour, 24)
    for line in lines:
        assert len(re.sub("\x1b\\[[0-9;]*m", "", line)) == 24 and line.endswith("\x1b[0m")
    assert len(lines) == 9 and "2;" in lines[0] if colour == "true" else "38;5;" in lines[0]
    assert key.count("██") == ramp.STEPS


def test_very_many_boxes_have_no_borders_in_text() -> None:
    boxes = [(x, y, x + 10, y + 10) for x, y in product(range(0, 400, 10), range(0, 400, 10))]
    *lines, _, about = map_text.plane_map(plane(boxed(boxes, [5] * 1600)), None, "none", 40)
    assert not set("".join(lines)) & set("|-+") and about.endswith("; too small for borders")


@pytest.mark.parametrize(
    ("environment", "encoding", "colour"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "utf-8", "true"),
        ({"TERM": "xterm-256color"}, "UTF-8", "256"),
        ({"TERM": "xterm", "COLORTERM": ""}, "utf-8", "none"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "utf-8", "none"),
        ({"COLORTERM": "truecolor"}, "utf-8", "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "utf-8", "none"),
        ({"TERM": "xterm-256color"}, "ascii", "none"),
    ],
)
def test_colours_are_what_the_terminal_says(environment: dict[str, str], encoding: str, colour: str) -> None:
    assert map_text.colour_of(environment, encoding) == colour
