"""Commands as people type them: what they print, what they leave, and how they end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from cbtool.plan import Plan
from fixtures import make
from tests.inprocess import command, contents, plan_of, process, refused
from tests.processes import ENVIRONMENT

CBTOOL = f"{sys.executable} -m cbtool"
N_READS = len(make.reads())
N_BASES = sum(len(read.bases) for read in make.reads())


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reads.fastq.gz").write_bytes(make.many_blocks(make.strict()))
    return tmp_path / "reads.fastq.gz"


@pytest.fixture
def plan(reads: Path) -> Plan:
    made = plan_of([str(reads)], chunks=4)
    made.save("reads.plan")
    return made


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which ``cbtool`` is this one."""
    script = f'cbtool() {{ {CBTOOL} "$@"; }}; export -f cbtool; {line}'
    return subprocess.run(["bash", "-c", script], cwd=cwd, capture_output=True, timeout=60, env=ENVIRONMENT)


# --- what the commands print -----------------------------------------------------------------------------------------


def test_info(reads: Path) -> None:
    before = json.loads(command("info", "reads.fastq.gz").stdout)
    assert (before["format"], before["compression"], before["index"]) == ("fastq.gz", "gzip", "missing")
    assert "records" not in before
    checked = json.loads(command("info", "reads.fastq.gz", "--check", "--json").stdout)
    assert (checked["records"], checked["sound"], checked["bases"]) == (N_READS, True, N_BASES)
    assert not Path("reads.fastq.gz.cbi").exists()
    command("index", "reads.fastq.gz", "-q")
    after = json.loads(command("info", "reads.fastq.gz").stdout)
    assert (after["records"], after["uncompressed_bytes"]) == (N_READS, len(make.strict()))
    assert after["checkpoints"] > 2 and after["index"].endswith("reads.fastq.gz.cbi")


def test_info_check_finds_damage(reads: Path) -> None:
    data = bytearray(reads.read_bytes())
    data[-5] ^= 1
    reads.write_bytes(data)
    assert command("info", "reads.fastq.gz").exit_code == 0
    assert "wrong" in refused(65, "info", "reads.fastq.gz", "--check", "-j1")


def test_index_is_made_once(reads: Path) -> None:
    assert not Path("reads.fastq.gz.cbi").exists()
    assert "would be indexed" in command("index", "reads.fastq.gz", "--dry-run").stderr
    assert not Path("reads.fastq.gz.cbi").exists()
    first = command("index", "reads.fastq.gz", "-j1")
    assert json.loads(first.stdout)["index"].endswith(".cbi")
    stamp = os.stat("reads.fastq.gz.cbi").st_ino
    assert "fresh" in command("index", "reads.fastq.gz").stderr
    assert os.stat("reads.fastq.gz.cbi").st_ino == stamp
    whole = Path("reads.fastq.gz.cbi").read_bytes()
    command("index", "reads.fastq.gz", "--force", "-j1")
    assert os.stat("reads.fastq.gz.cbi").st_ino != stamp and Path("reads.fastq.gz.cbi").read_bytes() == whole


def test_partition_says_on_stderr_what_it_did_besides(reads: Path) -> None:
    made = command("partition", "reads.fastq.gz", "-n", "3", "-j1")
    assert len(made.stdout.splitlines()) == 3
    assert "indexing it first" in made.stderr and "index written to" in made.stderr
    again = command("partition", "reads.fastq.gz", "-n", "3", "-o", "p")
    assert again.stdout == again.stderr == "" and Path("p").read_text() == made.stdout


def test_partition_says_when_there_are_fewer_places(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\nb\n")
    made = command("partition", tmp_path / "a.txt", "-n", "9")
    assert len(made.stdout.splitlines()) == 2 and "2 chunks, not 9" in made.stderr


@pytest.mark.parametrize(
    "more, hint",
    [
        (["-n", "0"], "--chunks 0"),
        (["-n", "many"], "--chunks many"),
        (["--size", "big"], "'big' is not a size"),
        (["--size", "0"], "at least one byte"),
        (["--records", "0"], "--records"),
        (["-n", "2", "--records", "5"], "exclude each other"),
        (["--by", "points"], "no weight"),
        (["--as", "nonsense"], "no format"),
        (["--on-the-fly"], "on the fly"),
        (["--paired"], "mate|twos"),
    ],
)
def test_partition_refuses_what_makes_no_sense(more: list[str], hint: str, reads: Path) -> None:
    import re

    assert re.search(hint, refused(2, "partition", "reads.fastq.gz", *more))


def test_show(plan: Plan) -> None:
    facts = json.loads(command("show", "reads.plan").stdout)
    assert (facts["chunks"], facts["records"], facts["exact"], facts["requests"]) == (4, N_READS, True, 4)
    assert facts["weight"] == len(make.strict()) and facts["max_over_mean"] <= 1.02
    rows = [json.loads(line) for line in command("show", "reads.plan", "--chunks").stdout.splitlines()]
    assert [row["chunk"] for row in rows] == [0, 1, 2, 3]
    assert sum(row["read_bytes"] for row in rows) == facts["read_bytes"]


def test_read(plan: Plan) -> None:
    for chunk in plan:
        result = command("read", "reads.plan", "-k", str(chunk.chunk))
        assert result.stdout_bytes == contents(chunk)[0]
        assert command("read", "-", stdin=chunk.to_line()).stdout_bytes == contents(chunk)[0]
    command("read", "reads.plan", "-k", "1", "-o", "one.fastq")
    assert Path("one.fastq").read_bytes() == contents(plan[1])[0]
    assert "no chunk 4" in refused(2, "read", "reads.plan", "-k", "4")
    assert "which chunk" in refused(2, "read", "reads.plan")
    assert "no part 2" in refused(2, "read", "reads.plan", "-k", "0", "--part", "2")
    refused(65, "read", "-", stdin="")


def test_read_of_a_damaged_source_leaves_no_file(plan: Plan, reads: Path) -> None:
    forged = plan[1].to_line().replace(plan[1].sources[0].version, "file:" + "0" * 32)
    refused(65, "read", "-", "-o", "one.fastq", stdin=forged)
    data = bytearray(reads.read_bytes())
    data[len(data) // 2] ^= 255
    times = reads.stat()
    with open(reads, "r+b") as file:
        file.write(data)
    os.utime(reads, ns=(times.st_atime_ns, times.st_mtime_ns))
    statuses = [command("read", "reads.plan", "-k", str(k), "-o", "one.fastq").exit_code for k in range(4)]
    assert set(statuses) <= {4, 65} and not Path("one.fastq").exists()


def test_mates_are_interleaved_or_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, data in enumerate(make.mates(40), 1):
        Path(f"r_{number}.fastq").write_bytes(data)
    command("partition", "r_1.fastq", "r_2.fastq", "--paired", "-n", "2", "-o", "p", "-q", "-j1")
    both = command("read", "p", "-k", "0").stdout_bytes.splitlines()
    one, two = (command("read", "p", "-k", "0", "--part", part).stdout_bytes.splitlines() for part in "12")
    assert both[0::8] == one[0::4] and both[4::8] == two[0::4] and len(both) == len(one) + len(two)
    names = [line.split()[0] for line in both[0::4]]
    assert names[0::2] == names[1::2]


def test_verify(plan: Plan) -> None:
    verdict = json.loads(command("verify", "reads.plan", "-q", "-j1").stdout)
    assert (verdict["records"], verdict["chunks"], verdict["verified"]) == (N_READS, 4, True)
    refused(66, "verify", "reads.plan", "nowhere/", "-q", "-j1")


def test_formats() -> None:
    rows = {row["name"]: row for row in map(json.loads, command("formats", "--json").stdout.splitlines())}
    assert rows["fastq"]["state"] == rows["text"]["state"] == "ready" and ".fq" in rows["fastq"]["suffixes"]


def test_errors_as_json(reads: Path) -> None:
    done = process("read", "missing.plan", "-k", "0", env=ENVIRONMENT | {"CBTOOL_ERROR_FORMAT": "json"})
    told = json.loads(done.stderr)
    assert done.returncode == told["status"] == 66 and "missing.plan" in told["error"]


# --- as processes ----------------------------------------------------------------------------------------------------


def test_help_loads_nothing_heavy() -> None:
    script = """
        import sys
        from cbtool.cli import main
        sys.argv = ["cbtool", "--help"]
        try:
            main()
        finally:
            heavy = {"numpy", "rich", "boto3", "botocore", "obstore", "isal", "rapidgzip", "lithops", "urllib3"}
            print(sorted(heavy & set(sys.modules)), file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0 and "partition" in done.stdout
    assert done.stderr.strip() == "[]"


def test_head_ends_what_it_reads_from_with_141(plan: Plan, tmp_path: Path) -> None:
    # More than a pipe holds, so that the writer is there when the reader goes.
    (tmp_path / "long.txt").write_bytes(b"some line\n" * 100_000)
    line = (
        f"cbtool partition {tmp_path}/long.txt -n 1 | cbtool read - | head -c 10 > /dev/null; echo ${{PIPESTATUS[1]}}"
    )
    done = shell(line, Path.cwd())
    assert done.stdout[-4:] == b"141\n" and done.stderr == b"", done.stderr
    done = shell("cbtool partition reads.fastq.gz -n 4 | head -c 0; echo ${PIPESTATUS[0]}", Path.cwd())
    assert done.stdout in (b"141\n", b"0\n") and done.stderr == b"", done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "line", ["read reads.plan -k 1", "partition reads.fastq.gz -n 4", "show reads.plan", "info reads.plan --as text"]
)
def test_a_full_device_ends_with_73(line: str, plan: Plan) -> None:
    done = shell(f"cbtool {line} > /dev/full", Path.cwd())
    assert done.returncode == 73, done.stderr
    assert done.stderr.count(b"\n") <= 2 and b"no space left" in done.stderr


def test_a_plan_goes_through_pipes(plan: Plan) -> None:
    line = "set -o pipefail; cbtool partition reads.fastq.gz -n 4 | cbtool write - -o out -q -j1"
    done = shell(line, Path.cwd())
    assert done.returncode == 0, done.stderr
    written = [path.read_bytes() for path in sorted(Path("out").glob("*.fastq"))]
    assert written == [contents(chunk)[0] for chunk in plan]
    done = shell("cbtool verify - out -q -j1 < reads.plan", Path.cwd())
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("parallel"), reason="GNU parallel is not installed")
def test_parallel_gives_each_worker_a_line(plan: Plan) -> None:
    line = f"cat reads.plan | parallel --will-cite --pipe -N1 -j2 '{CBTOOL} read - | wc -l'"
    done = shell(line, Path.cwd())
    assert done.returncode == 0, done.stderr
    assert sum(map(int, done.stdout.split())) == 4 * N_READS and len(done.stdout.split()) == 4


@pytest.mark.parametrize(
    "status, args",
    [
        (0, ["--version"]),
        (2, ["nonsense"]),
        (2, ["partition"]),
        (2, ["partition", "--nonsense"]),
        (65, ["read", "reads.fastq.gz", "-k", "0"]),
        (66, ["partition", "missing"]),
        (73, ["read", "reads.plan", "-k", "0", "-o", "no/such/folder/f"]),
        (78, ["formats", "--config", "missing.toml"]),
    ],
)
def test_statuses(status: int, args: list[str], plan: Plan) -> None:
    result = command(*args)
    assert result.exit_code == status, result.stderr
    assert "Traceback" not in result.stderr


def test_an_unreachable_service_ends_with_69(reads: Path, credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    refused(69, "partition", "s3://bucket/key.txt")


# --- formats of third parties ----------------------------------------------------------------------------------------


def test_a_format_of_somebody_else_is_found_by_its_entry_point(tmp_path: Path) -> None:
    (tmp_path / "stanza.py").write_text(
        textwrap.dedent(
            """
            from cbtool.partitioners.lines import Lines
            from cbtool.partitioners.stream import Stream

            PARTITIONER = Stream(
                "stanza", ("bytes", "records"),
                lambda head: {"kind": "stanza"} if head.startswith(b"#stanza") else None,
                lambda how: Lines(suffix=".stanza"),
            )
            """
        )
    )
    info = tmp_path / "stanza-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stanza\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cbtool.partitioners]\nstanza = stanza:PARTITIONER\nbroken = nowhere:X\n")
    (tmp_path / "poem").write_bytes(b"#stanza\n" + b"line\n" * 50)
    environment = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    listed = [json.loads(line) for line in process("formats", env=environment).stdout.splitlines()]
    rows: dict[str, Any] = {row["name"]: row for row in listed}
    assert rows["stanza"]["state"] == "ready" and "stanza" in rows["stanza"]["what"]
    assert "nowhere" in rows["broken"]["state"]
    made = process("partition", str(tmp_path / "poem"), "-n", "3", env=environment)
    assert made.returncode == 0, made.stderr
    assert [json.loads(line)["format"] for line in made.stdout.splitlines()] == ["stanza"] * 3
    (tmp_path / "plan").write_bytes(made.stdout)
    done = process("verify", str(tmp_path / "plan"), "-q", "-j1", env=environment)
    assert done.returncode == 0 and json.loads(done.stdout)["records"] == 51, done.stderr
