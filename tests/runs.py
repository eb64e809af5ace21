"""Runs that never were: records as drivers write them, with numbers that a test can work out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cbtool.chunk import Chunk, PartOf, SourceRanges
from cbtool.report.account import Account, account
from cbtool.report.drivers import Beat

T0 = 1_760_000_000.0


def planned(number: int, of: int, weight: int = 1_000_000, records: int | None = 1000) -> Chunk:
    """Return chunk *number* of a plan by bytes."""
    name = f"reads-{number:05}.fastq"
    source = SourceRanges("s3://bucket/reads.fastq.gz", "etag:1", 10**15, ((number, weight // 4),))
    return Chunk(
        plan="0123456789abcdef",
        chunk=number,
        of=of,
        format="fastq.gz",
        exact=True,
        name=name,
        sources=(source,),
        parts=(PartOf(name, (0,)),),
        records=records,
        weight=weight,
        by="bytes",
        core=None,
        overlap=None,
        requests=1,
        n_bytes=weight // 4,
        recipe={},
    )


def record(chunk: int, began: float, wall_s: float, worker: str = "host/100", **more: Any) -> dict[str, Any]:
    """Return the record of an attempt that began *began* seconds into the run; half of it is work.

    It is submitted 0.25 s before, and recorded 0.25 s after.
    """
    spent = {
        "worker": worker,
        "began": T0 + began,
        "wall_s": wall_s,
        "cpu_s": wall_s / 2,
        "peak_bytes": 2**30,
        "read_s": wall_s / 4,
        "read_bytes": 1_000_000,
        "requests": 2,
        "write_s": wall_s / 4,
        "written_bytes": 500_000,
        "writes": 1,
        **more.pop("spent", {}),
    }
    return {
        "at": T0 + began + wall_s + 0.25,
        "chunk": chunk,
        "attempt": 1,
        "ended": "done",
        "submitted": T0 + began - 0.25,
        "seconds": wall_s + 0.5,
        "spent": spent,
        **more,
    }


def died(chunk: int, began: float, seconds: float, ended: str = "retry") -> dict[str, Any]:
    """Return the record of an attempt whose worker was killed: nobody says what it spent."""
    return {
        "at": T0 + began + seconds,
        "chunk": chunk,
        "attempt": 1,
        "ended": ended,
        "submitted": T0 + began,
        "seconds": seconds,
        "error": "the worker was killed by SIGKILL",
    }


def driver(began: float = -1.0, at: float = 100.0, **more: Any) -> Beat:
    fields: dict[str, Any] = {"backend": "local", "workers": 2, "every_s": 1.0, "ended": "done", **more}
    return Beat(began=T0 + began, at=T0 + at, **fields)


RUN = {"plan": "0123456789abcdef", "task": "command", "parameters": {"command": ["wc", "-l"]}}


def told(records: Sequence[Mapping[str, Any]], chunks: Sequence[Chunk], **more: Any) -> Account:
    """Return the account of a run; chunks with a record that says done are done."""
    finished = {one["chunk"] for one in records if one["ended"] == "done"}
    return account("out/", more.pop("run", RUN), chunks, finished, records, **more)


def large(n_chunks: int = 1000, n_workers: int = 64) -> Account:
    """Return a run of uneven chunks with cold starts, retries, failures, and stragglers; nothing in it is random."""
    chunks = [
        planned(k, n_chunks, 20_000_000 + k * 7919 % 41 * 1_500_000, 50_000 + k * 31 % 97 * 300)
        for k in range(n_chunks)
    ]
    free, records = [(0.4 + w * 0.03, w) for w in range(n_workers)], []
    fresh = set(range(n_workers))
    for k in range(n_chunks):
        begin, w = min(free)
        free.remove((begin, w))
        wall = 0.4 + chunks[k].weight / 30e6 * (0.85 + k * 104729 % 31 / 100) * (4.2 if k % 211 == 150 else 1.0)
        spent: dict[str, Any] = {
            "read_s": wall * (0.15 + k * 53 % 17 / 100),
            "write_s": wall * 0.06,
            "cpu_s": wall * 0.7,
            "peak_bytes": 180_000_000 + k * 13 % 60 * 1_000_000,
            "read_bytes": chunks[k].n_bytes,
        }
        if w in fresh:
            fresh.remove(w)
            spent["start_s"] = 0.35
        name = f"ip-10-0-{w // 8}-{w % 8}/{4000 + w}"
        if k % 97 == 40:
            records.append(record(k, begin, wall / 3, name, ended="retry", error="s3: 503 slow down", spent=spent))
            begin, spent = begin + wall / 3 + 0.4, {k: v for k, v in spent.items() if k != "start_s"}
        failed = k % 401 == 77
        more = (
            {"ended": "failed", "error": "exit status 2: [no]", "exit_status": 2, "stderr": "bad base\n[no]\n"}
            if failed
            else {}
        )
        records.append(record(k, begin, wall, name, attempt=2 if k % 97 == 40 else 1, spent=spent, **more))
        free.append((begin + wall + 0.05, w))
    drivers = [
        driver(
            backend="lambda",
            workers=n_workers,
            at=max(one for one, _ in free),
            limits={"memory_bytes": 2**31, "price": "aws-lambda"},
            predicted={"chunks": n_chunks, "makespan_s": 41.0, "cost_usd": 0.055, "nothing": 3},
            ended="failed",
        )
    ]
    return told(records, chunks, drivers=drivers, prices=Cents())


class Cents:
    """A table in which everything costs a cent."""

    dated = "2026-11-01"

    def cost(self, price: str | None, *, gb_s: float, calls: int, gets: int, puts: int) -> float | None:
        return 0.0 if price is None else 0.01 * (gb_s + calls + gets + puts)
