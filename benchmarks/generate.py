"""Make big, repeatable inputs for the measurements.

Reads look like Illumina's: names with tile coordinates, mostly 151 bases with some trimmed, binned qualities that
run in stretches (so that gzip shrinks them about as it does real reads).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

BATCH = 20_000
READ_LENGTH = 151
QUALITIES = np.frombuffer(b"F:,#", np.uint8)


def reads(n_records: int, mate: int = 1, seed: int = 7) -> bytes:
    """Return *n_records* of strict four-line FASTQ; the two mates share names and have lengths of their own."""
    names = np.random.default_rng(seed)
    bases = np.random.default_rng(seed * 10 + mate)
    tile = names.integers(1101, 2679, n_records)
    x, y = names.integers(1000, 32_000, (2, n_records))
    length = np.where(bases.random(n_records) < 0.8, READ_LENGTH, bases.integers(35, READ_LENGTH, n_records))
    sequence = np.frombuffer(b"ACGT", np.uint8)[bases.integers(0, 4, (n_records, READ_LENGTH), dtype=np.uint8)]
    change = bases.random((n_records, READ_LENGTH)) < 0.08
    quality = QUALITIES[np.minimum(bases.geometric(0.7, (n_records, READ_LENGTH)) - 1, 3)]
    last = np.maximum.accumulate(np.where(change, np.arange(READ_LENGTH), 0), axis=1)
    quality = np.take_along_axis(quality, last, axis=1)
    lines = []
    for i in range(n_records):
        n = length[i]
        lines.append(b"@A00123:45:HXXKDSX3:1:%d:%d:%d %d:N:0:ACGTACGT\n" % (tile[i], x[i], y[i], mate))
        lines += (sequence[i, :n].tobytes(), b"\n+\n", quality[i, :n].tobytes(), b"\n")
    return b"".join(lines)


def write_reads(path: Path, n_records: int, mate: int = 1, seed: int = 7) -> None:
    """Write *n_records* reads to *path*, batch by batch."""
    with path.open("wb") as file:
        for batch, start in enumerate(range(0, n_records, BATCH)):
            file.write(reads(min(BATCH, n_records - start), mate, seed + batch))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--records", type=int, default=3_200_000)
    parser.add_argument("--mate", type=int, choices=(1, 2), default=1)
    arguments = parser.parse_args()
    write_reads(arguments.path, arguments.records, arguments.mate)
