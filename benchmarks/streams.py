"""cbtool beside its peers on text streams, in one run: ``python -m benchmarks.streams``.

Everything is measured in rounds, ours and the peer's in turn, with files in the page cache. Figures are medians; the
least of the rounds stands in brackets. The exit status is 1 if a row fails or its peer is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import data, machine, peers, s3
from benchmarks.measure import Cost, Rounds, command, probe
from benchmarks.table import Row, markdown

CBTOOL = shlex.quote(str(Path(sys.executable).with_name("cbtool")))
CHUNKS = 64
JOB_CHUNKS = 16
ONE = 3
"""The chunk that is decoded."""

REPEATS_OF_SHORT = 7
ADD_UP = "awk '{s+=$1} END {print s}'"

Found = Mapping[str, Rounds]


@dataclass(frozen=True)
class Setting:
    """What the measurements have at hand."""

    files: data.Data
    work: Path
    uri: str
    """The gzip file, indexed, on S3."""
    plan: Path
    remote_plan: Path
    versions: Mapping[str, str | None]


def cbtool(*words: str | Path) -> str:
    return " ".join([CBTOOL, *(shlex.quote(str(word)) for word in words)])


def prepare(files: data.Data, work: Path, server: s3.Server, versions: Mapping[str, str | None]) -> Setting:
    """Index and plan what is read later, and warm the page cache."""
    (work / "indexes").mkdir()
    bucket = "cbtool-benchmark"
    uri = s3.fill(bucket, files.gzip)
    setting = Setting(files, work, uri, work / "16.plan", work / "s3.plan", versions)
    command(f"cat {shlex.quote(str(files.plain))} {shlex.quote(str(files.bgzf))} > /dev/null")
    command(cbtool("index", "--force", uri))
    command(cbtool("partition", files.gzip, "-n", str(JOB_CHUNKS), "--index-to", work / "indexes", "-o", setting.plan))
    command(cbtool("partition", uri, "-n", str(JOB_CHUNKS), "-o", setting.remote_plan))
    return setting


def tasks(at: Setting) -> dict[str, Callable[[], Cost]]:
    """Return what is measured in each round, in this order: ours, and right behind it the peer's."""
    plain, gz, bgz = (shlex.quote(str(path)) for path in (at.files.plain, at.files.gzip, at.files.bgzf))
    out = shlex.quote(str(at.work / "out"))
    index = cbtool("index", "--force", "--index-to", at.work / "indexes", at.files.gzip)
    fly = ("--on-the-fly", "-n", str(CHUNKS), "-o", at.work / "fly.plan")
    planned_job = cbtool("run", at.remote_plan, "-j", "2", "-q", "--reduce", ADD_UP, "--", "wc", "-l")
    job = cbtool("run", at.uri, "-n", str(JOB_CHUNKS), "-j", "2", "-q", "--reduce", ADD_UP, "--", "wc", "-l")
    help_ = [str(Path(sys.executable).with_name("cbtool")), "--help"]
    typer = [sys.executable, "-c", "import typer"]
    all_tasks: dict[str, tuple[str, Callable[[], Cost]]] = {
        "plan plain": ("", lambda: command(cbtool("partition", at.files.plain, *fly))),
        "wc -l": ("wc", lambda: command(f"wc -l < {plain}")),
        "plan plain, inside": ("", lambda: probe("plan", str(at.files.plain), str(CHUNKS))),
        "index": ("", lambda: command(index)),
        "gztool -i -x": ("gztool", lambda: command(f"gztool -f -i -x -I {out}.gztool {gz}")),
        "rapidgzip -P1": ("rapidgzip", lambda: command(f"rapidgzip -f -P1 --export-index {out}.rapidgzip {gz}")),
        "plan BGZF": ("", lambda: command(cbtool("partition", at.files.bgzf, *fly))),
        "plan BGZF, inside": ("", lambda: probe("plan", str(at.files.bgzf), str(CHUNKS))),
        "bgzip -r": ("bgzip", lambda: command(f"bgzip -r -I {out}.gzi {bgz}")),
        "decode a chunk, inside": ("", lambda: probe("decode", str(at.plan), str(ONE))),
        "gzip -dc": ("gzip", lambda: command(f"gzip -dc {gz} > /dev/null")),
        "run wc -l, S3": ("", lambda: command(job)),
        "gzip -dc | wc -l": ("gzip", lambda: command(f"gzip -dc {gz} | wc -l")),
        "pigz -dc | wc -l": ("pigz", lambda: command(f"pigz -dc {gz} | wc -l")),
        "run wc -l of a plan, S3": ("", lambda: command(planned_job)),
        "verify": ("", lambda: command(cbtool("verify", "-q", "-j", "2", at.plan))),
        "cbtool --help": ("", lambda: short(help_)),
        "import typer": ("", lambda: short(typer)),
    }
    return {name: task for name, (peer, task) in all_tasks.items() if not peer or at.versions[peer]}


def short(line: list[str]) -> Cost:
    """Return the median by wall of several runs, of what takes less than the clock's noise."""
    return sorted((command(line) for _ in range(REPEATS_OF_SHORT)), key=lambda cost: cost.wall_s)[REPEATS_OF_SHORT // 2]


def rows(at: Setting, found: Found, server: s3.Server) -> list[Row]:
    """Hold what was found against what is wanted."""
    mb = at.files.plain_mb
    index_bytes = next((at.work / "indexes").glob("*.cbi")).stat().st_size
    fly, bgzf = (found[f"plan {kind}, inside"].last.counts for kind in ("plain", "BGZF"))
    size = at.files.gzip.stat().st_size
    return [
        Row(
            f"plan of {CHUNKS} chunks, plain FASTQ, on the fly",
            "wc -l",
            "wall of the command",
            _wall(found, "plan plain"),
            _wall(found, "wc -l"),
            found["plan plain"].median("wall_s"),
            0.5,
            at_most=True,
            unit="s",
        ),
        Row(
            "the same",
            "-",
            "read in all (kernel's count)",
            f"{fly['requests']} reads and the version",
            "",
            fly["read_bytes"] / 1e6,
            2,
            at_most=True,
            unit="MB",
        ),
        _faster("index of plain gz (records, CRC, checkpoints)", found, "index", "gztool -i -x", 2),
        Row(
            "the same",
            "-",
            "uncompressed MB per CPU-second",
            _cpu(found, "index"),
            _cpu(found, "gztool -i -x"),
            mb / found["index"].median("cpu_s"),
            400,
            unit="MB/CPU-s",
        ),
        Row(
            "the same",
            "-",
            "size of the index",
            f"{index_bytes} B",
            f"{size} B of gz",
            100 * index_bytes / size,
            0.5,
            at_most=True,
            unit="%",
        ),
        _faster("the same", found, "index", "rapidgzip -P1", 0.6),
        _faster(f"plan of {CHUNKS} chunks from BGZF, no index", found, "plan BGZF", "bgzip -r", 10),
        _faster("the same, in process", found, "plan BGZF, inside", "bgzip -r", None),
        Row(
            "the same",
            "-",
            "reads at each cut",
            f"{bgzf['requests']} reads with the head's, {bgzf['metered_bytes']} B",
            "the whole file",
            bgzf["reads_at_cuts"] / bgzf["cuts"],
            1,
            at_most=True,
            unit="reads",
        ),
        _decoding(found, mb),
        *_one_get(at, server),
        _faster(
            f"run -- wc -l, {JOB_CHUNKS} chunks of gz, 2 workers, S3", found, "run wc -l, S3", "gzip -dc | wc -l", 1
        ),
        _faster("the same", found, "run wc -l, S3", "pigz -dc | wc -l", None),
        Row(
            "the same, planned before",
            "-",
            "largest process (driver or worker), beyond a chunk",
            f"{found['run wc -l of a plan, S3'].median('peak_bytes') / 1e6:.0f} MB",
            f"{mb / JOB_CHUNKS:.0f} MB a chunk",
            found["run wc -l of a plan, S3"].median("peak_bytes") / 1e6 - mb / JOB_CHUNKS,
            64,
            at_most=True,
            unit="MB",
        ),
        Row(
            "the same, that plans",
            "-",
            "largest process",
            "",
            "",
            found["run wc -l, S3"].median("peak_bytes") / 1e6,
            None,
            unit="MB",
        ),
        Row(
            "verify, 2 workers: the file and its chunks",
            "-",
            "uncompressed MB of the file per second",
            _wall(found, "verify"),
            "",
            mb / found["verify"].median("wall_s"),
            None,
            unit="MB/s",
        ),
        Row(
            "cbtool --help",
            "python -c 'import typer'",
            "wall",
            _wall(found, "cbtool --help"),
            _wall(found, "import typer"),
            found["cbtool --help"].median("wall_s") / found["import typer"].median("wall_s"),
            1.3,
            at_most=True,
        ),
    ]


def _faster(work: str, found: Found, ours: str, peer: str, wanted: float | None) -> Row:
    ratio = found[peer].median("wall_s") / found[ours].median("wall_s") if peer in found else None
    return Row(work, peer, "times as fast, wall", _wall(found, ours), _wall(found, peer), ratio, wanted)


def _decoding(found: Found, mb: float) -> Row:
    ours, peer = found["decode a chunk, inside"], found.get("gzip -dc")
    rate = ours.last.counts["bytes"] / 1e6 / ours.median("cpu_s")
    theirs = mb / peer.median("cpu_s") if peer else None
    return Row(
        f"one chunk of {JOB_CHUNKS} decoded, in process",
        "gzip -dc",
        "times the MB per CPU-second",
        f"{rate:.0f} MB/CPU-s",
        f"{theirs:.0f} MB/CPU-s" if theirs else "missing",
        rate / theirs if theirs else None,
        4,
    )


def _one_get(at: Setting, server: s3.Server) -> list[Row]:
    """Read one chunk from S3, and count."""
    server.asked()
    command(cbtool("read", at.remote_plan, "-k", str(ONE)) + " > /dev/null")
    asked = server.asked()
    plan = [json.loads(line) for line in at.remote_plan.read_text().splitlines()]
    ranges = [chunk["sources"][0]["ranges"][0] for chunk in plan]
    beyond = [start + length - after for (start, length), (after, _) in zip(ranges, ranges[1:], strict=False)]
    sent = sum(one["bytes"] for one in asked)
    over = max(beyond) + sent - ranges[ONE][1]
    counted = server.log is not None
    work = f"read of one chunk of {JOB_CHUNKS} from S3"
    return [
        Row(
            work,
            "-",
            "GETs",
            ", ".join(f"{one['method']} {one['range'] or ''}".strip() for one in asked),
            "",
            sum(one["method"] == "GET" for one in asked) if counted else None,
            1,
            at_most=True,
            unit="GET",
        ),
        Row(
            "the same",
            "-",
            "read beyond the next chunk's first byte, most of all",
            f"{sent} B sent, {ranges[ONE][1]} B planned",
            "",
            over if counted else None,
            1000,
            at_most=True,
            unit="B",
        ),
    ]


def _wall(found: Found, name: str) -> str:
    if name not in found:
        return "missing"
    return f"{found[name].median('wall_s'):.3g} s ({found[name].least('wall_s'):.3g})"


def _cpu(found: Found, name: str) -> str:
    if name not in found:
        return "missing"
    return f"{found[name].median('cpu_s'):.3g} CPU-s ({found[name].least('cpu_s'):.3g})"


def measure(at: Setting, n_rounds: int) -> tuple[Found, list[float]]:
    """Return the costs of everything and the load at the beginning of each round."""
    costs: dict[str, list[Cost]] = {}
    loads = []
    for number in range(n_rounds):
        loads.append(machine.load())
        for name, task in tasks(at).items():
            print(f"round {number + 1} of {n_rounds}: {name}", file=sys.stderr)
            costs.setdefault(name, []).append(task())
    return {name: Rounds(many) for name, many in costs.items()}, loads


def check_answers(found: Found) -> None:
    """A wrong answer would make every figure worthless."""
    answers = {found[name].last.said.strip() for name in ("wc -l", "run wc -l, S3")}
    if len(answers) > 1:
        raise SystemExit(f"cbtool and wc -l do not count the same: {answers}")


def report(found: Found, loads: list[float], at: Setting, server: s3.Server) -> tuple[dict[str, Any], list[Row]]:
    made = rows(at, found, server)
    about = {
        "machine": machine.facts(),
        "load": loads,
        "data": at.files.sizes(),
        "peers": dict(at.versions),
        "s3": server.name,
        "costs": {name: rounds.as_json() for name, rounds in found.items()},
        "rows": [asdict(row) | {"verdict": row.verdict} for row in made],
    }
    return about, made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("benchmarks/work"), help="where the inputs lie or are made")
    parser.add_argument("--records", type=int, default=3_200_000, help="how many reads are made (default: 1.08 GB)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--s3", metavar="URL", help="an S3 server of your own (AWS_* say who you are)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--install-peers", action="store_true", help="get missing peers by apt-get, if root")
    arguments = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed cbtool is compiled once
    versions = peers.prepare(arguments.install_peers)
    files = data.prepare(arguments.data, arguments.records)
    if files.plain.stat().st_size < data.GIGABYTE:
        print(f"note: {files.plain} is smaller than 1 GB: its figures count for nothing", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, s3.serving(arguments.s3, Path(folder)) as server:
        at = prepare(files, Path(folder), server, versions)
        found, loads = measure(at, arguments.rounds)
        check_answers(found)
        about, made = report(found, loads, at, server)
    facts = about["machine"]
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB, Python {facts['python']}")
    print(f"load before each round: {', '.join(f'{load:.1f}' for load in loads)}; S3: {server.name}")
    print(f"{files.plain_mb:.0f} MB of FASTQ, {files.gzip.stat().st_size / 1e6:.0f} MB by gzip -6")
    print(f"medians of {arguments.rounds} rounds, (least)\n")
    print(markdown(made))
    for name, version in versions.items():
        if version is None:
            print(f"\nmissing: {name} ({peers.PEERS[name][0]})")
    if arguments.json:
        arguments.json.write_text(json.dumps(about, indent=1) + "\n")
    return int(any(row.verdict in ("FAIL", "missing") for row in made))


if __name__ == "__main__":
    sys.exit(main())
