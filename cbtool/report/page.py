"""HTML pages that need nothing else: no script, no font, no network. What `report_html` and `plan_html` are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cbtool.report import svg
from cbtool.report.svg import said, tag

LISTED = 100
"""How many chunks, stragglers or failures a page lists; `cbtool show --json` gives them all."""

STYLE = """
*{box-sizing:border-box}html{color-scheme:light dark}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1088px;margin:0 auto;padding:28px 24px 48px}
h1{font-size:24px;font-weight:650;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:17px;margin:36px 0 4px}h1 code{font-size:22px;font-weight:600}h1 code.long{font-size:15px}
h3{font-size:15px;margin:0}p{margin:0 0 12px}
.soft{color:var(--soft)}.bad{color:var(--bad)}
code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;overflow-wrap:anywhere}
dl.figures{display:grid;grid-template-columns:repeat(4,1fr);gap:10px;margin:20px 0 0}
@media (max-width:760px){main{padding:20px 14px 40px}dl.figures{grid-template-columns:1fr 1fr}}
dl.figures div{background:var(--raised);border-radius:8px;padding:10px 14px}
dt{color:var(--soft);font-size:13px}dd{margin:0;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
dd small{display:block;font-size:12.5px;font-weight:400;color:var(--soft)}
.scroll{overflow-x:auto}.scroll svg{display:block;width:100%;min-width:760px;height:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}
th,td{text-align:right;padding:4px 14px 4px 0;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:500}th.l,td.l{text-align:left}
pre{background:var(--raised);border-radius:8px;padding:10px 14px;margin:8px 0 0;
white-space:pre-wrap;max-height:22em;overflow:auto}
article{border-left:3px solid var(--bad);padding:2px 0 2px 14px;margin:14px 0}
summary{cursor:pointer;margin:36px 0 8px;font-size:17px;font-weight:600}
footer{margin-top:40px;color:var(--soft);font-size:13px}
""".strip()


def page(title: str, body: Iterable[str], style: str = "") -> str:
    """Return a whole HTML page; *style* is what its pictures have of their own."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{said(title)}</title>\n<style>\n{svg.STYLE}\n{STYLE}\n{style}</style></head>\n"
        f"<body><main>\n{''.join(body)}</main></body></html>\n"
    )


def figures(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return the large numbers at the top; each has a name, a value, and a word more."""
    shown = (
        tag("div", tag("dt", said(name)) + tag("dd", said(value) + (tag("small", said(more)) if more else "")))
        for name, value, more in entries
    )
    return tag("dl", "".join(shown), class_="figures")


def note(words: str) -> str:
    return tag("p", said(words), class_="soft")


def details(title: str, content: str) -> str:
    return tag("details", tag("summary", said(title)) + content)


def table(table: Sequence[Mapping[str, Any]]) -> str:
    """Return rows that share their fields; columns that hold words in the first row are set to the left."""
    left = {name for name, value in table[0].items() if isinstance(value, str) and not value[:1].isdigit()}
    left -= {"off"}
    kind = {name: {"class_": "l"} if name in left else {} for name in table[0]}
    head = "".join(tag("th", said(name), scope="col", **kind[name]) for name in table[0])
    body = "".join(
        tag("tr", "".join(tag("td", said("-" if v is None else v), **kind[name]) for name, v in row.items()))
        for row in table
    )
    inside = tag("thead", tag("tr", head)) + tag("tbody", body)
    return tag("div", tag("table", inside), class_="scroll")
