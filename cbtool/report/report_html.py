"""The report of a run as an HTML page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cbtool.report.account import Account, comparisons, totals
from cbtool.report.page import LISTED, details, figures, note, page, table
from cbtool.report.run_facts import rows
from cbtool.report.scatter_svg import scatter, show_weight
from cbtool.report.svg import said, tag
from cbtool.report.timeline import RULE, Attempt
from cbtool.report.timeline_svg import timeline
from cbtool.units import show_cost, show_seconds, show_size

LONG = 60
"""Longer commands are shown in smaller letters."""


def run_page(of: Account) -> str:
    """Return the report of a run."""
    sums = totals(of)
    body = [
        *_head(of, sums),
        figures(_run_figures(of, sums)),
        tag("h2", "Timeline"),
        note(_timeline_note(of)),
        *([tag("div", timeline(of), class_="scroll")] if of.attempts else []),
        *_failures(of.failures),
        *_stragglers(of),
        *_against_weight(of),
        *_predicted(of),
        *_slowest(of),
        tag("footer", said(_priced(of))),
    ]
    return page(f"Run of {_task(of.run)[:LONG]}", body)


def _task(run: Mapping[str, Any]) -> str:
    parameters = run.get("parameters")
    command = parameters.get("command") if isinstance(parameters, dict) else None
    if isinstance(command, list) and command:
        return " ".join(str(word) for word in command)
    return str(run.get("task") or "a task")


def _head(of: Account, sums: Mapping[str, Any]) -> list[str]:
    left = len(of.chunks) - len(of.finished)
    state = "all done" if not left else _state(len(of.failures), left - len(of.failures))
    state = tag("span", said(state), class_="bad" if of.failures else "soft")
    engines = ", ".join(dict.fromkeys(f"{driver.backend}, {driver.workers} at once" for driver in of.drivers))
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(of.axis.stretches[0][0])) if of.attempts else ""
    words = [f"into {tag('code', said(of.where))}", said(engines), said(began)]
    task = _task(of.run)
    done = f"{len(of.finished):,} of {len(of.chunks):,} chunks done"
    return [
        tag("h1", tag("code", said(task), class_="long" if len(task) > LONG else "short")),
        tag("p", f"{said(done)}, {state} · {' · '.join(word for word in words if word)}", class_="soft"),
    ]


def _run_figures(of: Account, sums: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    retries = sum(one.ended == "retry" for one in of.attempts)
    limit = sums["limit_gb_s"]
    return [
        ("took", show_seconds(sums["elapsed_s"]), f"{show_seconds(sums['wall_s'])} of tasks"),
        ("attempts", f"{sums['attempts']:,}", f"{retries:,} tried again"),
        ("workers", f"{sums['workers']:,}", f"{show_seconds(sums['start_s'])} of cold starts"),
        ("read", show_size(sums["read_bytes"]), f"{sums['requests']:,} requests"),
        ("written", show_size(sums["written_bytes"]), f"{sums['writes']:,} writes"),
        ("CPU", show_seconds(sums["cpu_s"]), _share(sums["cpu_s"], sums["wall_s"])),
        (
            "memory",
            _gb_s(sums["peak_gb_s"]),
            "as used; " + ("no limit" if limit is None else f"{_gb_s(limit)} by limit"),
        ),
        ("cost", show_cost(sums["cost_usd"]), f"prices of {of.prices.dated}" if of.prices else "no price table"),
    ]


def _state(failed: int, to_come: int) -> str:
    said = [f"{failed:,} failed"] * (failed > 0) + [f"{to_come:,} to come"] * (to_come > 0)
    return ", ".join(said)


def _gb_s(amount: float) -> str:
    return f"{amount:,.0f} GB-s" if amount >= 100 else f"{amount:.3g} GB-s"


def _named(name: str) -> str:
    """Return the name of a number without its unit, which its value shows."""
    for unit in ("_usd", "_bytes", "_s"):
        if name.endswith(unit) and not name.endswith("gb_s"):
            return name.removesuffix(unit).replace("_", " ")
    return name.replace("_", " ")


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} % of the wall time" if whole else ""


def _timeline_note(of: Account) -> str:
    if not of.attempts:
        return "No attempt has ended yet."
    words = "A row for each worker, a bar for each attempt. Colours say what its time went to, not when in it that was."
    if of.axis.pauses:
        cut = show_seconds(sum(cut for _, cut in of.axis.pauses))
        words += f" {len(of.axis.pauses)} pauses, {cut} together, in which nothing ran are cut out at the dotted lines."
    return words


def _failures(failures: Sequence[Attempt]) -> list[str]:
    if not failures:
        return []
    listed = [tag("h2", said(f"Failures: {len(failures):,}"))]
    for one in failures[:LISTED]:
        head = f"chunk {one.chunk}, attempt {one.attempt}, after {show_seconds(one.seconds)}"
        inside = tag("h3", said(head)) + tag("p", said(one.record.get("error") or "no reason was recorded"))
        texts = (one.record[name] for name in ("stderr", "traceback") if one.record.get(name))
        listed.append(tag("article", inside + "".join(tag("pre", said(words)) for words in texts)))
    return listed + _more(len(failures))


def _more(count: int) -> list[str]:
    return [note(f"{count - LISTED:,} more are not listed here: cbtool show DEST --json.")] if count > LISTED else []


def _stragglers(of: Account) -> list[str]:
    if not of.stragglers:
        return []
    listed = [
        {
            "chunk": one.attempt.chunk,
            "took": show_seconds(one.attempt.wall_s),
            "expected": show_seconds(one.expected_s),
            "times": f"{one.times:.1f}",
            **{part: show_seconds(one.attempt.parts[part]) for part in ("read", "work", "write")},
            "CPU": show_seconds(one.attempt.spent("cpu_s")),
            "worker": one.attempt.worker,
        }
        for one in of.stragglers[:LISTED]
    ]
    head = tag("h2", said(f"Stragglers: {len(of.stragglers):,}"))
    return [head, note(f"They {RULE}."), table(listed), *_more(len(of.stragglers))]


def _against_weight(of: Account) -> list[str]:
    """Return seconds against weights, if there are two chunks to compare."""
    if len({one.chunk for one in of.attempts if of.weights.get(one.chunk)}) < 2:
        return []
    return [tag("h2", "Time of each chunk"), tag("div", scatter(of), class_="scroll")]


def _predicted(of: Account) -> list[str]:
    listed = [
        {
            "": _named(one.name),
            "predicted": _number(one.name, one.predicted),
            "actual": _number(one.name, one.actual),
            "off": "-" if one.off is None else f"{100 * one.off:+.1f} %",
        }
        for one in comparisons(of)
    ]
    return [tag("h2", "Predicted and actual"), table(listed)] if listed else []


def _number(name: str, value: float) -> str:
    show: Callable[[float], str] = lambda number: f"{number:,.6g}"  # noqa: E731
    if name.endswith("_usd"):
        show = show_cost
    elif name.endswith("_bytes"):
        show = show_size
    elif name.endswith("_s") and not name.endswith("gb_s"):
        show = show_seconds
    return show(value)


def _slowest(of: Account) -> list[str]:
    slowest = sorted(rows(of), key=lambda row: (-(row["wall_s"] or 0.0), row["chunk"]))
    listed = [
        {
            "chunk": row["chunk"],
            "state": row["state"],
            "attempts": row["attempts"],
            "weight": "-" if row["weight"] is None else show_weight(row["weight"], of.by),
            **{part: _seconds(row[f"{part}_s"]) for part in ("wall", "read", "work", "write")},
            "CPU": _seconds(row["cpu_s"]),
            "memory": "-" if not row["peak_bytes"] else show_size(row["peak_bytes"]),
            "bytes read": "-" if row["read_bytes"] is None else show_size(row["read_bytes"]),
        }
        for row in slowest[:LISTED]
    ]
    title = (
        f"The {len(listed)} slowest of {len(slowest):,} chunks"
        if len(listed) < len(slowest)
        else "Chunks, slowest first"
    )
    return [details(title, table(listed))] if listed else []


def _seconds(value: float | None) -> str:
    return "-" if value is None else show_seconds(value)


def _priced(of: Account) -> str:
    rule = "GB-seconds are memory times wall time, a GB being 2^30 bytes."
    if of.prices is None:
        return rule
    return f"{rule} Cost from the price table of {of.prices.dated}; '-' where an engine has no price in it."
