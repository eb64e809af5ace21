"""Ranged reads from object storage: cbtool's sources beside obstore, which they are built on, in turn.

``python -m benchmarks.storage`` reads one object in several ways, each measurement in a process of its own, and prints
the rates and what was asked for. The server is that of ``AWS_ENDPOINT_URL``; without one it is Ceph's gateway, started
for the occasion (`tests.rgw`) on the same cores. The exit status is 1 if cbtool is more than a tenth slower.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine
from benchmarks.measure import Cost, Rounds, command
from benchmarks.s3 import fill
from benchmarks.table import Row, markdown
from tests import rgw

Ranges = Sequence[tuple[int, int]]
MIB = 1 << 20
AT_ONCE = 16
WANTED = 0.9
"""Of the library's own rate."""

WAYS: dict[str, Callable[[int], Ranges]] = {
    "the whole, one stream": lambda size: [(0, size)],
    "8 MiB ranges in turn": lambda size: apart(size, 8 * MIB, size // (16 * MIB)),
    "8 MiB ranges at once": lambda size: apart(size, 8 * MIB, size // (16 * MIB)),
    "64 KiB ranges in turn": lambda size: apart(size, MIB // 16, 500),
    "64 KiB ranges at once": lambda size: apart(size, MIB // 16, 2000),
}


def apart(size: int, length: int, count: int) -> Ranges:
    """Return *count* ranges too far from each other to share a request, in an order that is always the same."""
    starts = [i * (size // count) for i in range(count)]
    random.Random(1).shuffle(starts)
    return [(start, length) for start in starts]


def by_cbtool(uri: str, way: str, ranges: Ranges) -> tuple[int, int]:
    """Return the requests and bytes that reading *ranges* took, by cbtool's own meter."""
    from cbtool.source import open_source

    source = open_source(uri)
    if "stream" in way:
        for _ in source.stream(*ranges[0]):
            pass
    elif "at once" in way:
        source.read_many(ranges)
    else:
        for one in ranges:
            source.read(*one)
    return source.meter.requests, source.meter.bytes


def by_obstore(uri: str, way: str, ranges: Ranges) -> tuple[int, int]:
    """Return the requests that were made, and the bytes that came; they become `bytes` as cbtool's do."""
    import obstore
    from obstore.store import S3Store

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    store = S3Store(bucket, client_options={"allow_http": True})
    obstore.head(store, key)

    def read(one: tuple[int, int]) -> bytes:
        return bytes(obstore.get_range(store, key, start=one[0], length=one[1]))

    if "stream" in way:
        found = [len(bytes(block)) for block in obstore.get(store, key).stream(MIB)]
    elif "at once" in way:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = [len(data) for data in list(pool.map(read, ranges))]
    else:
        found = [len(read(one)) for one in ranges]
    return len(ranges), sum(found)


READERS = {"cbtool": by_cbtool, "obstore": by_obstore}


def child(who: str, way: str, uri: str, size: str) -> None:
    """Read once to warm up, and once more for the figures; print them."""
    ranges = WAYS[way](int(size))
    READERS[who](uri, way, ranges)
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    requests, n_bytes = READERS[who](uri, way, ranges)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "requests": requests, "bytes": n_bytes}))


def measured(who: str, way: str, uri: str, size: int) -> Cost:
    done = command([sys.executable, "-m", "benchmarks.storage", "--child", who, way, uri, str(size)])
    return Cost(done.counts["wall_s"], done.counts["cpu_s"], done.peak_bytes, done.said)


def rows(uri: str, size: int, rounds: int) -> Iterator[Row]:
    """Measure each way, and yield what was found by wall and by CPU time."""
    for way in WAYS:
        costs: dict[str, list[Cost]] = {who: [] for who in READERS}
        for i in range(rounds):
            for who in list(READERS)[:: 1 if i % 2 else -1]:  # neither always comes first
                costs[who].append(measured(who, way, uri, size))
        ours, theirs = (Rounds(costs[who]) for who in READERS)
        for what, measure, wanted in (("wall_s", "MB/s", WANTED), ("cpu_s", "MB per CPU-second", None)):
            found = theirs.median(what) / ours.median(what)
            yield Row(way, "obstore", measure, _said(ours, what), _said(theirs, what), found, wanted)


def _said(rounds: Rounds, what: str) -> str:
    counts = rounds.last.counts
    rate = counts["bytes"] / 1e6 / rounds.median(what)
    return f"{rate:.0f}: {counts['bytes'] / 1e6:.1f} MB, {counts['requests']} requests"


@contextmanager
def server() -> Iterator[str]:
    """Yield the name of an S3 server that the ``AWS_*`` variables lead to."""
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        yield f"the S3 server at {endpoint}"
        return
    with rgw.running() as cluster:
        os.environ |= {"AWS_ACCESS_KEY_ID": rgw.ACCESS, "AWS_SECRET_ACCESS_KEY": rgw.SECRET}
        os.environ |= {"AWS_ENDPOINT_URL": cluster.endpoint, "AWS_REGION": "us-east-1"}
        yield "Ceph's gateway on loopback"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=512, help="size of the object")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(*asked.child)
        return 0
    with server() as name, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{asked.mib}.bin"
        with open(path, "wb") as file:
            file.writelines(random.randbytes(MIB) for _ in range(asked.mib))
        uri = fill("cbtool-benchmark", path)
        path.unlink()
        found = list(rows(uri, asked.mib * MIB, asked.rounds))
    print(f"{name}; {asked.rounds} rounds, medians; load {machine.load():.1f}; {json.dumps(machine.facts())}\n")
    print(markdown(found))
    return int(any(row.verdict == "FAIL" for row in found))


if __name__ == "__main__":
    sys.exit(main())
