"""Make big, repeatable inputs for the demo and the measurements.

Reads look like Illumina's: names with tile coordinates, mostly 151 bases with some trimmed, binned qualities that
run in stretches (so that gzip shrinks them about as it does real reads).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

BATCH = 20_000
READ_LENGTH = 151
SHORTEST = 35
NAME = b"@A00123:45:HXXKDSX3:1:tttt:xxxxx:yyyyy m:N:0:ACGTACGT\n"
BASES = np.frombuffer(b"ACGT" * 64, np.uint8)
QUALITIES = np.frombuffer(b"F" * 179 + b":" * 54 + b"," * 16 + b"#" * 7, np.uint8)
CHANGE = 20
"""Of 256 bases, how many have another quality than the one before."""


def reads(n_records: int, mate: int = 1, seed: int = 7) -> bytes:
    """Return *n_records* of strict four-line FASTQ; the two mates share names and have lengths of their own."""
    names = np.random.default_rng(seed)
    own = np.random.default_rng(seed * 10 + mate)
    text = np.empty((n_records, len(NAME) + 2 * READ_LENGTH + 4), np.uint8)
    name, sequence, plus, quality, end = np.split(
        text, np.cumsum([len(NAME), READ_LENGTH, 3, READ_LENGTH]).tolist(), axis=1
    )
    name[:] = np.frombuffer(NAME, np.uint8)
    name[:, NAME.index(b" ") + 1] = ord("0") + mate
    for mark, low, high in ((b"tttt", 1101, 2679), (b"xxxxx", 10_000, 32_000), (b"yyyyy", 10_000, 32_000)):
        at = NAME.index(mark)
        name[:, at : at + len(mark)] = _digits(names.integers(low, high, n_records), len(mark))
    sequence[:] = BASES[_random(own, n_records * READ_LENGTH)].reshape(sequence.shape)
    plus[:] = np.frombuffer(b"\n+\n", np.uint8)
    quality[:] = _stretches(own, n_records)
    end[:] = ord("\n")
    length = np.where(own.random(n_records) < 0.8, READ_LENGTH, own.integers(SHORTEST, READ_LENGTH, n_records))
    kept = np.ones(text.shape, np.bool_)
    within = np.arange(READ_LENGTH) < length[:, None]
    kept[:, len(NAME) : len(NAME) + READ_LENGTH] = within
    kept[:, -READ_LENGTH - 1 : -1] = within
    return text[kept].tobytes()


def _random(source: np.random.Generator, n: int) -> Bytes:
    return np.frombuffer(source.bytes(n), np.uint8)


def _digits(numbers: npt.NDArray[np.int64], width: int) -> Bytes:
    powers = 10 ** np.arange(width)[::-1]
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def _stretches(source: np.random.Generator, n_records: int) -> Bytes:
    """Return qualities that stay the same for some bases, and begin anew with each read."""
    change = (_random(source, n_records * READ_LENGTH) < CHANGE).reshape(n_records, READ_LENGTH)
    change[:, 0] = True
    at = np.flatnonzero(change)
    lengths = np.diff(at, append=change.size)
    return np.repeat(QUALITIES[_random(source, len(at))], lengths).reshape(change.shape)


def batches(n_records: int, mate: int = 1, seed: int = 7) -> Iterator[bytes]:
    """Yield *n_records* reads, batch by batch."""
    for batch, start in enumerate(range(0, n_records, BATCH)):
        yield reads(min(BATCH, n_records - start), mate, seed + batch)


def write_reads(path: Path, n_records: int, mate: int = 1, seed: int = 7) -> None:
    """Write *n_records* reads to *path*."""
    with path.open("wb") as file:
        file.writelines(batches(n_records, mate, seed))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="a file, or - for stdout")
    parser.add_argument("--records", type=int, default=3_200_000)
    parser.add_argument("--mate", type=int, choices=(1, 2), default=1)
    arguments = parser.parse_args()
    if arguments.path == "-":
        sys.stdout.buffer.writelines(batches(arguments.records, arguments.mate))
    else:
        write_reads(Path(arguments.path), arguments.records, arguments.mate)
