"""What all pictures share: escaping, colours for light and dark, axes. A picture is text; nothing is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

WIDTH = 1040
LEFT, RIGHT = 128, 16
PLOT = WIDTH - LEFT - RIGHT
GLYPH = 7.0
"""About how wide a letter of the 12-pixel text is, in pixels."""

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# What XML 1.0 cannot hold, C1 controls, and the marks that turn the direction of text around.
UNFIT = re.compile("[^\t\n\x20-\x7e\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

STYLE = """
:root{--paper:#fff;--raised:#f6f7f9;--ink:#1b2430;--soft:#5b6675;--line:#dde2e8;
--start:#a9b1bc;--read:#2a62ad;--work:#3b8a7c;--write:#dd9a2b;--untold:#c9ced6;
--bad:#c22f2f;--warn:#a85f00;--on:#fff;--accent:#2a62ad}
@media (prefers-color-scheme:dark){:root{--paper:#12171e;--raised:#1b222c;--ink:#e6eaf0;--soft:#9aa6b5;--line:#2d3643;
--start:#667180;--read:#6ba3ea;--work:#58b3a1;--write:#f0b95a;--untold:#4a5462;
--bad:#ff7b72;--warn:#f0a94a;--on:#0d1218;--accent:#6ba3ea}}
svg{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
svg text{fill:var(--soft)}svg .title{fill:var(--ink);font-size:15px;font-weight:600}
svg .strong{fill:var(--ink)}svg .grid{stroke:var(--line);stroke-width:1}svg .axis{stroke:var(--soft);stroke-width:1}
svg .row{fill:var(--raised)}svg .paper{fill:var(--paper)}
svg .start{fill:var(--start)}svg .read{fill:var(--read)}svg .work{fill:var(--work)}
svg .write{fill:var(--write)}svg .untold{fill:var(--untold)}
svg .on{fill:var(--on);font-size:11px;text-anchor:middle}
svg .slow{fill:none;stroke:var(--ink);stroke-width:2}
svg .faint{opacity:.5}
svg .retry{fill:var(--paper);stroke:var(--warn);stroke-width:2}
svg .failed{fill:none;stroke:var(--bad);stroke-width:2.5;stroke-linecap:round}
svg .pause{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:2 3}
svg .point{fill:var(--read);fill-opacity:.55}
svg .fit{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:6 4;fill:none}
svg .chunk{fill:var(--read)}svg .mean{stroke:var(--ink);stroke-width:1;stroke-dasharray:4 3}
svg .end{text-anchor:end}svg .middle{text-anchor:middle}
""".strip()


def printable(text: object) -> str:
    """Return *text* without escape sequences of terminals, and with a mark for what no page or terminal should get.

    >>> printable("a\\x1b[31mb\\x00c")
    'ab\\ufffdc'
    """
    return UNFIT.sub("\ufffd", ANSI.sub("", str(text).replace("\r\n", "\n").replace("\r", "\n")))


def said(text: object) -> str:
    """Return *text* as it may stand in XML and HTML, between tags and in quotes."""
    return escape(printable(text))


def at(number: float) -> str:
    """Return a coordinate, to a hundredth of a pixel.

    >>> at(3.14159), at(2.0)
    ('3.14', '2')
    """
    return f"{number:.2f}".rstrip("0").rstrip(".")


def tag(name: str, content: str | None = None, /, **attributes: object) -> str:
    """Return an element; *content* is markup already. ``class_`` is the attribute class.

    >>> tag("rect", x=1, class_="a<")
    '<rect x="1" class="a&lt;"/>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{at(value) if isinstance(value, float) else said(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}/>" if content is None else f"<{name}{written}>{content}</{name}>"


def text(x: float, y: float, words: object, kind: str = "") -> str:
    """Return *words* at a place; *kind* is the classes that style them."""
    return tag("text", said(words), x=float(x), y=float(y), **({"class_": kind} if kind else {}))


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return tag("rect", x=float(x), y=float(y), width=float(width), height=float(height), class_=kind)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=kind)


def tick_label(x: float, y: float, words: str) -> str:
    """Return the label of a tick at *x*, below it; at the right edge it ends there."""
    reach = WIDTH - GLYPH * len(words) / 2
    return text(min(x, WIDTH - 2), y, words, "end") if x > reach else text(x, y, words, "middle")


def retry_mark(x: float, y: float, size: float) -> str:
    """Return the ring that says: this attempt failed, and was tried again."""
    return tag("circle", cx=float(x), cy=float(y), r=float(size / 2), class_="retry")


def failed_mark(x: float, y: float, size: float) -> str:
    """Return the cross that says: this attempt failed for good."""
    a, b, c, d = (at(one) for one in (x - size / 2, x + size / 2, y - size / 2, y + size / 2))
    return tag("path", d=f"M{a} {c}L{b} {d}M{a} {d}L{b} {c}", class_="failed")


def legend(entries: Sequence[tuple[str, str]], x: float, y: float) -> str:
    """Return a row of keys: each a kind and the words for it. Marks are drawn as in the picture."""
    drawn = []
    for kind, words in entries:
        shape = {
            "retry": retry_mark(x + 6, y - 4, 8),
            "failed": failed_mark(x + 6, y - 4, 8),
            "point": tag("circle", cx=x + 6.0, cy=y - 4.0, r=4, class_="point"),
            "fit": line(x - 2, y - 4, x + 12, y - 4, "fit"),
            "mean": line(x - 2, y - 4, x + 12, y - 4, "mean"),
        }.get(kind, box(x, y - 10, 12, 12, kind))
        drawn += [shape, text(x + 18, y, words)]
        x += 18 + GLYPH * len(words) + 18
    return "".join(drawn)


def picture(
    name: str, height: float, title: str, words: str, body: Iterable[str], *, alone: bool, style: str = ""
) -> str:
    """Return a whole picture; *words* describe it to those who do not see it.

    *alone* gives a file of its own, with its style and background; else it is a part of a page that has `STYLE` and
    *style*, which is the picture's own.
    """
    head = tag("title", said(title), id=f"{name}-title") + tag("desc", said(words), id=f"{name}-words")
    attributes: Mapping[str, object] = {
        "viewBox": f"0 0 {WIDTH} {at(height)}",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-words",
    }
    if alone:
        head += tag("style", STYLE + style) + tag("rect", width="100%", height="100%", class_="paper")
        own = {"xmlns": "http://www.w3.org/2000/svg", "width": WIDTH, "height": height}
        attributes = {**own, **attributes}
    written = "".join(f' {key}="{said(value)}"' for key, value in attributes.items())
    return f"<svg{written}>{head}{''.join(body)}</svg>\n"
