"""The chosen number of chunks against ten fixed ones: ``python -m benchmarks.chunk_count``.

An input whose work is even and one whose work is skewed (a quarter that takes four times as long, and a few records of
many bytes) are worked on by two kinds of command: one that computes, and one that only waits as long, so that what else
runs on the machine matters less. Each number is predicted from a probe and run right after it; the medians of the
rounds are held against each other. The exit status is 1 if the choice is not within 15 % of the best, or a prediction
not within 25 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, median_low
from typing import Any

from benchmarks import machine
from cbtool.asked import Options
from cbtool.choice.choosing import Wish
from cbtool.choice.chosen import Asked, Chosen, choose_plan
from cbtool.choice.model import predict
from cbtool.choice.prices import load
from cbtool.choice.probing import slices
from cbtool.contracts import EngineSettings
from cbtool.destination import open_destination
from cbtool.job import Engine, Work, run_job
from cbtool.ledger import records
from cbtool.plan import Plan
from cbtool.session import engine, make_plan

COUNTS = (1, 2, 3, 4, 6, 8, 16, 32, 64, 256)
LINE_BYTES = 100
LONG_BYTES = 1_500_000
CHOICE, PREDICTION = 0.15, 0.25
EFFORT = "{s += $1 * (length($0) + 1)} END {print s + 0}"
WAITS = "sleep 0.05; n=$(awk '%s'); sleep $(awk -v n=$n 'BEGIN {print n * %g}'); echo $n"
COMPUTES = "sleep 0.05; awk '{n = $1 * (length($0) + 1) * %g; for (i = 0; i < n; i++) s += i} END {print s}'"
Pair = tuple[float, float]
"""What was predicted and what it took, in seconds."""
LOOPS_PER_S = 4e7
"""About what awk does; it only sets how long the benchmark takes."""


def write_source(path: Path, n_bytes: int, *, skewed: bool) -> None:
    """Write lines that begin with their effort for each byte."""
    plain, heavy = (effort + b" " + b"x" * (LINE_BYTES - 3) + b"\n" for effort in (b"1", b"4"))
    long = b"1 " + b"y" * (LONG_BYTES - 3) + b"\n"
    with path.open("wb") as file:
        for part in range(20):
            lines = n_bytes // 20 // LINE_BYTES
            if skewed and part % 6 == 3:
                file.write(long)
                lines -= LONG_BYTES // LINE_BYTES
            file.write((heavy if skewed and part >= 15 else plain) * lines)


@dataclass(frozen=True)
class Found:
    """One number of chunks: medians of the rounds, in seconds."""

    source: str
    command: str
    n_chunks: int
    predicted_s: float
    actual_s: float
    chosen: bool

    @property
    def off(self) -> float:
        return self.predicted_s / self.actual_s - 1


def measure(source: Path, command: str, workers: int, rounds: int, work: Path) -> tuple[dict[int, list[Pair]], int]:
    """Return for each number of chunks what was predicted and what it took, a pair a round, and what is chosen.

    A probe goes right before each run, so that both find the machine alike. Of all their choices the middle one counts.
    """
    doing = Work("command", {"command": [command], "ext": "", "ok": [0]}, {"urls": []})
    probes = iter(range(10**6))
    pairs: dict[int, list[Pair]] = {}
    chosen = []

    def cut(n: int) -> Plan:
        return make_plan([str(source)], Options(chunks=n, workers=workers))

    def one(n: int) -> None:
        number = next(probes)
        found = choose(cut, doing, workers, work / f"probe{number}")
        chosen.append(found.best.n_chunks)
        plan = cut(n)
        predicted_s = predict(slices(plan), found.rates, found.lanes).makespan_s
        pairs.setdefault(n, []).append((predicted_s, run(plan, doing, workers, work / f"run{number}")))

    for _ in range(rounds):
        for n in COUNTS:
            one(n)
    middle = median_low(chosen)
    for _ in range(rounds if middle not in COUNTS else 0):
        one(middle)
    return pairs, middle


def choose(cut: Any, doing: Work, workers: int, place: Path) -> Chosen:
    with engine("local", EngineSettings(workers)) as backend:
        asked = Asked(Wish(deadline_s=1e6), load(), cores=machine.facts()["cores"])
        return choose_plan(cut, doing, Engine(backend), str(place), asked)


def run(plan: Plan, doing: Work, workers: int, place: Path) -> float:
    """Return the seconds from the first submission to the last end, as the ledger has them."""
    destination = open_destination(str(place))
    with engine("local", EngineSettings(workers)) as backend:
        run_job(plan, doing, destination, Engine(backend)).check()
    attempts = list(records(destination))
    return float(max(one["at"] for one in attempts) - min(one["submitted"] for one in attempts))


def rows(name: str, kind: str, pairs: dict[int, list[Pair]], chosen: int) -> list[Found]:
    def middle(n: int, which: int) -> float:
        return float(median(pair[which] for pair in pairs[n]))

    return [Found(name, kind, n, middle(n, 0), middle(n, 1), n == chosen) for n in sorted(pairs)]


def table(found: Sequence[Found]) -> tuple[list[str], bool]:
    """Return lines that show *found* of one source and command, and whether it is as wanted."""
    best = min(one.actual_s for one in found)
    lines = [f"{'chunks':>8}{'predicted s':>13}{'actual s':>10}{'off':>8}{'over best':>11}"]
    good = True
    for one in found:
        over = one.actual_s / best - 1
        right = abs(one.off) <= PREDICTION and (not one.chosen or over <= CHOICE)
        good &= right
        mark = ("  chosen" if one.chosen else "") + ("" if right else "  FAIL")
        lines.append(
            f"{one.n_chunks:>8}{one.predicted_s:>13.2f}{one.actual_s:>10.2f}{one.off:>8.0%}{over:>11.0%}{mark}"
        )
    return lines, good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mb", type=int, default=60, help="size of the sources")
    parser.add_argument("--seconds", type=float, default=10, help="about how long a run on one worker takes")
    parser.add_argument("--only", choices=["waits", "computes"])
    parser.add_argument("--json", help="where to write the figures")
    given = parser.parse_args()
    n_bytes = given.mb * 10**6
    commands = {
        "waits": WAITS % (EFFORT, given.seconds / n_bytes),
        "computes": COMPUTES % (given.seconds * LOOPS_PER_S / n_bytes),
    }
    found: list[Found] = []
    good = True
    print(f"{machine.facts()}, load {machine.load():.2f}")
    with tempfile.TemporaryDirectory(prefix="cbtool-bench-") as folder:
        for name in ("even", "skewed"):
            source = Path(folder) / f"{name}.txt"
            write_source(source, n_bytes, skewed=name == "skewed")
            for kind in [given.only] if given.only else commands:
                place = Path(folder) / f"{name}-{kind}"
                place.mkdir()
                pairs, chosen = measure(source, commands[kind], given.workers, given.rounds, place)
                some = rows(name, kind, pairs, chosen)
                lines, right = table(some)
                found, good = [*found, *some], good and right
                print(f"\n{name} input, a command that {kind}: chosen {chosen}, load {machine.load():.2f}")
                print("\n".join(lines), flush=True)
    if given.json:
        Path(given.json).write_text(json.dumps({"machine": machine.facts(), "found": [asdict(one) for one in found]}))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
