"""cbtool beside its peers on point clouds, in one run: ``python -m benchmarks.clouds``.

The cloud is made (`benchmarks.clouds_data`). Everything is measured in rounds, ours and the peer's in turn, with files
in the page cache. Figures are medians; the least of the rounds stands in brackets. Memory is what all processes of a
command had for themselves at one moment. What is written is read again by laspy and held against the cloud, outside
of the measurements. The exit status is 1 if a row fails or its peer is missing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks import clouds_data, machine, web
from benchmarks.clouds_run import Found, Piece, Setting, look
from benchmarks.clouds_work import PIECES
from benchmarks.measure import Failed, Rounds
from benchmarks.s3 import Server
from benchmarks.table import Row, markdown

LARGE = 100_000_000
DELAY_S = 0.03


def make(n_points: int, *paths: Path) -> None:
    """Make the cloud of so many points at *paths*, unless it is there."""
    if all(path.exists() for path in paths):
        return
    print(f"making {', '.join(path.name for path in paths)} …", file=sys.stderr)
    # What is half made has another name, but the same suffix, which says how it is to be written.
    parts = [path.with_name(f"part-{path.name}") for path in paths]
    argv = [sys.executable, "-m", "benchmarks.clouds_data", "--points", str(n_points)]
    subprocess.run([*argv, *map(str, parts)], check=True)
    for part, path in zip(parts, paths, strict=True):
        os.replace(part, path)


def pdal(folder: Path, install: bool) -> Path | None:
    """Return PDAL in *folder*, if it is or can be had; it may take minutes."""
    if install:
        subprocess.run([Path(__file__).with_name("pdal.sh"), folder], check=True, stdout=sys.stderr)
    found = folder / "pdal"
    return found if found.exists() else None


def version(found: Path) -> str:
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    return next(line.split("(")[0].strip() for line in told.splitlines() if line.startswith("pdal"))


def prepare(asked: argparse.Namespace, folder: Path, server: Server) -> Setting:
    """Make the clouds, warm the page cache, and look at them."""
    las, laz = (folder / f"cloud-{asked.points}.{suffix}" for suffix in ("las", "laz"))
    make(asked.points, las, laz)
    large = None
    if asked.large and "copc-large" in asked.only:
        large = folder / f"cloud-{asked.large}.laz"
        make(asked.large, large)
    header, truth = look("header", [las]), look("summary", [las])
    box = [*map(math.floor, header["mins"][:2]), *(math.floor(most) + 1 for most in header["maxs"][:2])]
    found = pdal(asked.pdal.absolute(), asked.install_peers)
    return Setting(folder, las, laz, large, asked.points, asked.large, box, truth, found, server)


def measure(pieces: dict[str, Piece], n_rounds: int) -> tuple[dict[str, Found], list[float]]:
    """Return what all pieces cost, and the load at the beginning of each round; what fails once is not tried again."""
    found = {name: Found() for name in pieces}
    loads = []
    for number in range(n_rounds):
        loads.append(machine.load())
        for name, piece in pieces.items():
            if piece.rounds is not None and number >= piece.rounds:
                continue
            for label, task in piece.tasks.items():
                if label in found[name].failed:
                    continue
                print(f"round {number + 1} of {n_rounds}: {name}: {label}", file=sys.stderr)
                try:
                    found[name].costs.setdefault(label, []).append(task())
                except Failed as error:
                    found[name].failed[label] = " ".join(str(error).rpartition(": status ")[2].split())
    return found, loads


def figures(found: dict[str, Found], rows: list[Row], loads: list[float], at: Setting) -> str:
    about = {
        "machine": machine.facts(),
        "load": loads,
        "points": at.n_points,
        "large": at.n_large,
        "costs": {
            name: {label: Rounds(costs).as_json() for label, costs in piece.costs.items() if costs}
            for name, piece in found.items()
        },
        "failed": {name: piece.failed for name, piece in found.items()},
        "rows": [asdict(row) | {"verdict": row.verdict} for row in rows],
    }
    return json.dumps(about, indent=1) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=clouds_data.POINTS)
    parser.add_argument("--large", type=int, default=LARGE, help="points of the large cloud; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(PIECES), default=list(PIECES), metavar="ROW")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/work"), help="where the clouds lie or are made")
    parser.add_argument("--pdal", type=Path, default=Path("benchmarks/work/pdal"), help="where pdal.sh put PDAL")
    parser.add_argument("--install-peers", action="store_true", help="get PDAL there by pdal.sh, if root")
    asked = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed cbtool is compiled once
    asked.folder.mkdir(parents=True, exist_ok=True)
    folder = asked.folder.resolve()
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    with tempfile.TemporaryDirectory() as logs, web.serving(folder, Path(logs) / "web.log", DELAY_S) as server:
        at = prepare(asked, folder, server)
        pieces = {name: PIECES[name](at) for name in PIECES if name in asked.only}
        found, loads = measure(pieces, asked.rounds)
        rows = [row for name, piece in pieces.items() for row in piece.finish(found[name])]
        written = figures(found, rows, loads, at)
    shutil.rmtree(folder / "out")
    facts = machine.facts()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB, Python {facts['python']}")
    print(f"load before each round: {', '.join(f'{load:.1f}' for load in loads)}; HTTP: {server.name}")
    print(f"{at.n_points} points, point format 6: LAS and LAZ of {_mb(at.las)} and {_mb(at.laz)} MB")
    print(f"medians of {asked.rounds} rounds, (least)\n")
    print(markdown(rows))
    for name, piece in found.items():
        for label, why in piece.failed.items():
            print(f"\nfailed: {name}: {label}: status {why}")
    if at.pdal:
        print(f"\nmeasured beside: {version(at.pdal)}")
    else:
        print("\nmissing: PDAL (benchmarks/pdal.sh, or --install-peers); its figures are recorded ones")
    if asked.json:
        asked.json.write_text(written)
    return int(any(row.verdict in ("FAIL", "missing") for row in rows))


def _mb(path: Path) -> int:
    return round(path.stat().st_size / 1e6)


if __name__ == "__main__":
    sys.exit(main())
