"""Pictures and pages: well-formed, complete in themselves, and never more than text where the data is not trusted."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from cbtool.plan import Plan
from cbtool.report.account import Account
from cbtool.report.picture import timeline as text_timeline
from cbtool.report.plan_html import plan_page
from cbtool.report.plan_svg import strip
from cbtool.report.report_html import run_page
from cbtool.report.scatter_svg import scatter
from cbtool.report.svg import printable
from cbtool.report.timeline_svg import timeline
from tests.runs import Cents, died, driver, large, planned, record, told

HOSTILE = "</pre></script><script src='//evil.example/x.js'>\x1b[31m\x00\x85\u202e ]]> & \" ' \ud800<img onerror=1>"
VOID = {"meta", "img", "br"}


class Strict(HTMLParser):
    """Fails on a tag that is closed out of turn, and keeps what was seen."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(page: str) -> Strict:
    """Return what is in a page; fail unless it is whole, needs nothing from elsewhere, and has no script."""
    strict = Strict()
    strict.feed(page)
    strict.close()
    assert strict.open == []
    tags = {tag for tag, _ in strict.seen}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    for _, attributes in strict.seen:
        assert not {"src", "href", "xlink:href", "srcset", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    styles = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in styles and "@import" not in styles and "://" not in styles
    return strict


def drawn(svg: str) -> list[ET.Element]:
    """Return the elements of a picture that stands alone."""
    assert svg.count("://") == 1 and 'xmlns="http://www.w3.org/2000/svg"' in svg
    root = ET.fromstring(svg)
    names = [one.tag.rpartition("}")[2] for one in root]
    assert names[:3] == ["title", "desc", "style"] and root.get("role") == "img"
    assert {root[0].get("id"), root[1].get("id")} == set((root.get("aria-labelledby") or "").split())
    return list(root.iter())


def of_class(elements: list[ET.Element], kind: str) -> list[ET.Element]:
    return [one for one in elements if one.get("class") == kind]


def hostile() -> Account:
    records = [
        record(0, 0.0, 1.0, HOSTILE),
        record(1, 0.0, 1.0, ended="failed", error=HOSTILE, stderr=HOSTILE * 50),
        record(2, 0.0, 1.0, ended=HOSTILE),
    ]
    run = {"plan": HOSTILE, "task": HOSTILE, "parameters": {"command": [HOSTILE, HOSTILE]}}
    return told(records, [planned(k, 3) for k in range(3)], run=run, drivers=[driver(backend=HOSTILE)])


ONE = told([record(0, 0.0, 1.0)], [planned(0, 1)], drivers=[driver()])
EMPTY = told([], [planned(k, 4) for k in range(4)])
NOTHING = told([], [])


@pytest.mark.parametrize(
    "of", [ONE, EMPTY, NOTHING, hostile(), large(60, 4)], ids=["one", "empty", "nothing", "hostile", "60"]
)
def test_a_report_is_whole_and_needs_nothing_else(of: Account) -> None:
    page = run_page(of)
    parsed(page)
    page.encode()
    for picture in (timeline(of, alone=True), scatter(of, alone=True)):
        drawn(picture)


def test_what_a_command_said_is_text_and_nothing_else() -> None:
    page = run_page(hostile())
    assert "evil.example" in page and "<script" not in page and "<img" not in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800]", page)
    assert "</pre></script><script src='//evil.example/x.js'>" in "".join(parsed(page).words)


def test_the_same_records_give_the_same_page() -> None:
    assert run_page(large(50, 4)) == run_page(large(50, 4))


def test_the_report_says_the_numbers() -> None:
    records = [record(k, k * 2.0, 1.5) for k in range(4)]
    of = told(records, [planned(k, 4) for k in range(4)], drivers=[driver()], prices=Cents())
    words = " ".join(parsed(run_page(of)).words)
    # Six of seconds of tasks in seven and a half; 1 MB and two requests each.
    for said in ("7.5 s", "6 s of tasks", "4 MB", "8 requests", "2 MB", "6 GB-s", "$0.00", "prices of 2026-11-01"):
        assert said in words, said


def test_predictions_stragglers_and_failures_are_listed() -> None:
    of = large(420, 16)
    words = " ".join(parsed(run_page(of)).words)
    assert "Predicted and actual" in words and "makespan" in words and "Stragglers: 2" in words
    assert "Failures: 1" in words and "bad base\n[no]\n" in words and "chunk 77, attempt 1" in words


def test_every_attempt_has_a_bar_with_its_parts_in_proportion() -> None:
    of = told(
        [record(0, 0.0, 4.0), record(1, 4.0, 2.0, spent={"start_s": 0.0}), died(2, 0.0, 3.0)],
        [planned(k, 3) for k in range(3)],
    )
    elements = drawn(timeline(of, alone=True))
    works = [float(one.get("width") or 0) for one in of_class(elements, "work")]
    reads = [float(one.get("width") or 0) for one in of_class(elements, "read")]
    # The legend has a key of each, 12 pixels wide.
    assert works[0] == reads[0] == 12 and len(works) == len(reads) == 3
    assert works[1] == pytest.approx(2 * works[2], abs=0.02) and works[1] == pytest.approx(2 * reads[1], abs=0.02)
    assert len(of_class(elements, "retry")) == 2 and len(of_class(elements, "untold")) == 2


def test_pauses_are_marked() -> None:
    elements = drawn(
        timeline(told([record(0, 0.0, 5.0), record(1, 9000.0, 5.0)], [planned(k, 2) for k in range(2)]), alone=True)
    )
    assert len(of_class(elements, "pause")) == 1
    assert any((one.text or "") == "2 h 29 min pause" for one in elements)


def test_a_thousand_chunks_on_64_workers_are_drawn_within_bounds() -> None:
    of = large(1000, 64)
    elements = drawn(timeline(of, alone=True))
    root = elements[0]
    assert float(root.get("height") or 0) < 1100 and len(of.lanes) == 64
    for one in elements:
        if one.tag.endswith("rect") and one.get("x"):
            assert 0 <= float(one.get("x") or 0) <= 1040 - 0.3
            assert float(one.get("x") or 0) + float(one.get("width") or 0) <= 1040
    assert len(run_page(of)) < 600_000


def test_the_picture_of_very_many_chunks_has_no_more_bars_than_pixels() -> None:
    chunks = [planned(k, 20_000) for k in range(20_000)]
    of = told([record(k, k // 2 * 0.01, 0.009, f"h/{k % 2}") for k in range(20_000)], chunks)
    assert len(timeline(of)) < 1_000_000
    assert len(of_class(drawn(strip(chunks, alone=True)), "chunk")) < 1000
    assert len(run_page(of)) < 1_200_000


def test_the_page_of_very_many_chunks_on_many_workers_does_not_grow_without_end() -> None:
    assert len(run_page(large(12_000, 64))) < 2_500_000


def test_the_scatter_has_a_point_for_each_chunk_and_a_line() -> None:
    of = told([record(k, 0.0, 0.1 + k * 0.01) for k in range(10)], [planned(k, 10, (k + 1) * 1000) for k in range(10)])
    elements = drawn(scatter(of, alone=True))
    assert len(of_class(elements, "point")) == 11
    assert len(of_class(elements, "fit")) == 2


def test_the_map_of_a_plan_is_as_wide_as_its_weights() -> None:
    chunks = [planned(0, 2, 3_000_000), planned(1, 2, 1_000_000)]
    wide, narrow = of_class(drawn(strip(chunks, alone=True)), "chunk")[1:]
    assert float(wide.get("width") or 0) == pytest.approx(3 * float(narrow.get("width") or 0), rel=0.02)
    assert float(wide.get("height") or 0) == pytest.approx(3 * float(narrow.get("height") or 0), rel=0.001)
    assert wide.get("fill-opacity") == "0.35" and narrow.get("fill-opacity") == "1"


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_page_of_a_plan(count: int) -> None:
    page = plan_page(Plan([planned(k, count, 1000 + k % 7) for k in range(count)]))
    words = " ".join(parsed(page).words)
    assert "Plan of reads.fastq.gz" in words and f"{count:,}" in words


def test_an_empty_chunk_can_be_drawn() -> None:
    drawn(strip([planned(0, 1, 0, None)], alone=True))


def test_a_timeline_in_plain_text() -> None:
    of = told(
        [record(0, 1.0, 9.0, "h/1", spent={"start_s": 1.0}), died(1, 0.0, 5.0)], [planned(k, 2) for k in range(2)]
    )
    keys, *rows, axis = text_timeline(of, "ascii", 119)
    assert keys == ". start  r read  # work  w write  ? untold  ! tried again"
    assert [row.split()[0] for row in rows] == ["h/1", "not"]
    # A hundred columns for ten seconds: 10 of start, 22 or 23 of reading, 45 of work.
    bar = rows[0].split()[1]
    assert len(bar) == 100 and bar.count(".") == 10 and 44 <= bar.count("#") <= 46
    assert rows[1].endswith("?!") and axis.endswith("10 s")
    assert text_timeline(EMPTY, "utf-8") == []


def test_what_is_printed_holds_no_controls() -> None:
    assert printable("a\x1b]0;t\x07b\rc\r\nd\te") == "a\ufffd]0;t\ufffdb\nc\nd\te"
