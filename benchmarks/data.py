"""The inputs: one generated FASTQ, as it is, by gzip -6, and as BGZF. Made once, and kept."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Data:
    plain: Path
    gzip: Path
    bgzf: Path

    @property
    def plain_mb(self) -> float:
        return self.plain.stat().st_size / 1e6

    def sizes(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in (self.plain, self.gzip, self.bgzf)}


def prepare(folder: Path, n_records: int) -> Data:
    """Return the inputs in *folder*; those that are missing are made."""
    folder.mkdir(parents=True, exist_ok=True)
    data = Data(folder / "r1.fastq", folder / "r1.fastq.gz", folder / "r1.bgz.fastq.gz")
    made = [sys.executable, "-m", "benchmarks.generate", "--records", str(n_records), "-"]
    _make(data.plain, made)
    _make(data.gzip, ["gzip", "-6", "-n", "-c", str(data.plain)])
    _make(data.bgzf, ["bgzip", "-@", "2", "-c", str(data.plain)])
    return data


def _make(path: Path, argv: list[str]) -> None:
    if path.exists():
        return
    print(f"making {path.name} …", file=sys.stderr)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        subprocess.run(argv, stdout=file, check=True)
    os.replace(part, path)
