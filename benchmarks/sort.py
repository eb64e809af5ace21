"""Measures `cbtool sort` beside GNU sort, with the same memory and cores: ``python -m benchmarks.sort``.

Three inputs, made by numpy from a fixed seed: records as `gensort -a` makes them (100 characters, a newline the last;
a key of ten), lines of text of many lengths and few first words, and binary records of 100 bytes, which GNU sort cannot
sort. Results are compared byte by byte, and the binary ones by count, order and sum of hashes.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.measure import Cost, command
from cbtool.proof import Summary, summarise
from cbtool.units import parse_size

RECORD = 100
KEY = 10
BATCH = 100_000
LETTERS = np.frombuffer(b"0123456789ABCDEF" * 16, np.uint8)
WORDS = [b"GET /", b"PUT /", b"POST /", b"HEAD /"]


def ascii_records(batch: int) -> bytes:
    """Return records of a random printable key, their number, and a filling that repeats."""
    source = np.random.default_rng(batch)
    rows = np.empty((BATCH, RECORD), np.uint8)
    rows[:, :KEY] = source.integers(33, 127, (BATCH, KEY), np.uint8)
    number = np.arange(batch * BATCH, (batch + 1) * BATCH)
    rows[:, KEY : KEY + 32] = ord("0")
    for place in range(12):
        rows[:, KEY + 31 - place] += (number // 10**place % 10).astype(np.uint8)
    rows[:, KEY + 32 :] = np.repeat(LETTERS[source.integers(0, 256, (BATCH, 15), np.uint8)], 4, axis=1)[:, :58]
    rows[:, -1] = ord("\n")
    return rows.tobytes()


def binary_records(batch: int) -> bytes:
    """Return records of a random key and anything else."""
    return np.random.default_rng(batch).bytes(BATCH * RECORD)


def text_lines(batch: int) -> bytes:
    """Return lines as of a log: a date that grows slowly, a verb, a path, and a tail of 0 to 100 characters."""
    source = np.random.default_rng(batch)
    tail = LETTERS[source.integers(0, 256, 60 * BATCH, np.uint8)].tobytes()
    seconds, verbs, paths, cuts = (source.integers(0, n, BATCH).tolist() for n in (10**5, 4, 10**6, 60 * BATCH - 100))
    lengths = source.integers(0, 100, BATCH).tolist()
    return b"".join(
        b"2026-%05d %s%06d %s\n" % (second, WORDS[verb], path, tail[cut : cut + length])
        for second, verb, path, cut, length in zip(seconds, verbs, paths, cuts, lengths, strict=True)
    )


def make(path: Path, batch: Callable[[int], bytes], n_bytes: int) -> Path:
    """Write *n_bytes* or a little more to *path*, unless they are there."""
    if not path.exists():
        print(f"making {path.name} …", file=sys.stderr)
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            number = 0
            while file.tell() < n_bytes:
                file.write(batch(number))
                number += 1
        os.replace(part, path)
    return path


def fixed(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        while block := file.read(RECORD * 10_000):
            yield [block[at : at + RECORD] for at in range(0, len(block), RECORD)]


def in_order(path: Path) -> bool:
    """Say whether the binary records of *path* are in the order of their keys, by a way that sorts nothing."""
    last = b""
    for records in fixed(path):
        keys = [record[:KEY] for record in records]
        if keys[0] < last or any(a > b for a, b in zip(keys, keys[1:], strict=False)):
            return False
        last = keys[-1]
    return True


def unordered(summary: Summary) -> tuple[int, int]:
    return summary.records, summary.total


def compare(name: str, path: Path, work: Path, memory: int, rounds: int) -> None:
    """Sort *path* by both programs, in turn, and print what it cost."""
    theirs, ours = work / "theirs", work / "ours"
    # As much for each of our two workers as half of what GNU sort gets for its two threads.
    settings = ["-S", f"{memory // 1024}K", "--parallel=2", "-T", str(work)]
    gnu = ["env", "LC_ALL=C", "sort", *settings, "-o", str(theirs), str(path)]
    cbtool = ["cbtool", "sort", str(path), "-o", str(ours), "-j2", "--memory", f"{memory // 2}", "-q"]
    costs: dict[str, list[Cost]] = {"sort": [], "cbtool": []}
    for _ in range(rounds):
        costs["sort"].append(command(gnu, tree=True))
        costs["cbtool"].append(command(cbtool, tree=True))
        if not filecmp.cmp(theirs, ours, shallow=False):
            raise SystemExit(f"{name}: the results differ")
        theirs.unlink()
        ours.unlink()
    for program, found in costs.items():
        say(name, program, path, found)
    ratio = median(costs["sort"]) / median(costs["cbtool"])
    print(f"{name:8} the same bytes; cbtool has {ratio:.2f} times the rate of GNU sort")


def alone(path: Path, work: Path, memory: int, rounds: int) -> None:
    """Sort binary records into a folder, and hold the parts against the input by count, order and hashes."""
    parts = work / "parts"
    words = ["--record-size", str(RECORD), "--key-bytes", f"0:{KEY}", "-o", f"{parts}/", "-j2", "-q"]
    costs = []
    for _ in range(rounds):
        shutil.rmtree(parts, ignore_errors=True)
        argv = ["cbtool", "sort", str(path), *words, "--memory", f"{memory // 2}"]
        costs.append(command(argv, tree=True))
    say("binary", "cbtool", path, costs)
    joined = work / "joined"
    with joined.open("wb") as file:
        for part in sorted(parts.glob(f"{path.stem}-*")):
            file.write(part.read_bytes())
    proven = in_order(joined) and unordered(summarise(fixed(joined))) == unordered(summarise(fixed(path)))
    print(f"binary   count, order and sum of hashes: {'right' if proven else 'WRONG'}")
    joined.unlink()
    shutil.rmtree(parts)
    if not proven:
        raise SystemExit(1)


def median(costs: Sequence[Cost]) -> float:
    return statistics.median(cost.wall_s for cost in costs)


def say(name: str, program: str, path: Path, costs: Sequence[Cost]) -> None:
    wall, n_bytes = median(costs), path.stat().st_size
    cpu = statistics.median(cost.cpu_s for cost in costs)
    peak = max(cost.peak_bytes for cost in costs)
    print(
        f"{name:8} {program:6} {n_bytes / 1e9:.2f} GB in {wall:.1f} s: {n_bytes / wall / 1e6:.0f} MB/s, "
        f"CPU {cpu:.1f} s, peak {peak / 1e6:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "work")
    parser.add_argument("--size", default="4GB", help="of each input")
    parser.add_argument("--memory", default="1GB", help="for each program in all")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=("ascii", "text", "binary"))
    asked = parser.parse_args()
    size, memory = parse_size(asked.size), parse_size(asked.memory)
    asked.folder.mkdir(parents=True, exist_ok=True)
    print(f"{machine.facts()}, load {machine.load():.2f}, memory {asked.memory} for each program")
    inputs = {"ascii": ascii_records, "text": text_lines, "binary": binary_records}
    for name, batch in inputs.items():
        if asked.only in (None, name):
            path = make(asked.folder / f"sort-{asked.size}.{name}", batch, size)
            if name == "binary":
                alone(path, asked.folder, memory, asked.rounds)
            else:
                compare(name, path, asked.folder, memory, asked.rounds)
            path.unlink()
    print(f"load at the end {machine.load():.2f}")


if __name__ == "__main__":
    main()
